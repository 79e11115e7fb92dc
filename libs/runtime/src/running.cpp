// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/running.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::runtime {
namespace {

/// As the options spell it.
std::string to_word(DType dtype) {
    std::string word(to_string(dtype));
    std::ranges::transform(
        word, word.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return word;
}

}  // namespace

void describe_running(const LoadOptions& options, Json& settings) {
    settings.set("dtype", options.dtype ? to_word(*options.dtype) : std::string("as stored"));
    settings.set("attn_logits_scaling", options.length_scaling.value_or(""));
    if (options.cache_dtype) {
        settings.set("cache_dtype", to_word(*options.cache_dtype));
    }
    if (options.context_length) {
        settings.set("context_length", std::uint64_t{*options.context_length});
    }
}

}  // namespace anamnesis::runtime
