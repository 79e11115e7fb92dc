// SPDX-License-Identifier: Apache-2.0
//
// Compiled once for each program: ANAMNESIS_RUNS_MODELS is defined for the one with LibTorch.
#include <array>
#include <span>

#include "verb.hpp"

namespace anamnesis::app {
namespace {

constexpr auto verbs = std::to_array<Verb>({
#define ANAMNESIS_VERB(name, group, description) \
    {#name, VerbGroup::group, description, &add_##name},
#ifdef ANAMNESIS_RUNS_MODELS
#define ANAMNESIS_MODEL_VERB ANAMNESIS_VERB
#else
#define ANAMNESIS_MODEL_VERB(name, group, description) \
    {#name, VerbGroup::group, description, nullptr},
#endif
#include "verbs.def"
#undef ANAMNESIS_VERB
#undef ANAMNESIS_MODEL_VERB
});

}  // namespace

std::span<const Verb> list_verbs() noexcept {
    return verbs;
}

}  // namespace anamnesis::app
