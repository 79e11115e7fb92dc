// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"

#include "model_verbs/model_verbs.hpp"
#include "options.hpp"
#include "terminal.hpp"
namespace anamnesis::app {
int run(const AttentionOptions&, Terminal&) {
    throw Error(ErrorKind::unsupported, "wip");
}
}  // namespace anamnesis::app
