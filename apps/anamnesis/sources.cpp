// SPDX-License-Identifier: Apache-2.0
#include "sources.hpp"

#include <string>
#include <utility>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "open_checkpoint.hpp"

namespace anamnesis::app {
namespace {

restore::Source open(const std::string& path,
                     const ReadingOptions& options,
                     checkpoint::Missing missing) {
    OpenedCheckpoint opened = open_checkpoint(path, options, missing);
    return {std::move(opened.checkpoint), std::move(opened.model)};
}

}  // namespace

restore::Source open_source(const std::string& path, const ReadingOptions& options) {
    return open(path, options, checkpoint::Missing::refuse);
}

restore::Source open_source_for_reading(const std::string& path, const ReadingOptions& options) {
    return open(path, options, checkpoint::Missing::warn);
}

restore::Execution make_execution(const CommonOptions& options, const Watch& watch) {
    return {.threads = options.count_threads(), .watch = watch};
}

}  // namespace anamnesis::app
