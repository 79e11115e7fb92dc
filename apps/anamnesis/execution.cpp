// SPDX-License-Identifier: Apache-2.0
#include "execution.hpp"

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"

#include "options/common.hpp"

namespace anamnesis::app {

restore::Execution make_execution(const CommonOptions& options, const Watch& watch) {
    return {.threads = options.count_threads(), .watch = watch};
}

}  // namespace anamnesis::app
