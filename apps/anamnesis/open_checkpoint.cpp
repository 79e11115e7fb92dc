// SPDX-License-Identifier: Apache-2.0
#include "open_checkpoint.hpp"

#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "options/reading.hpp"

namespace anamnesis::app {

OpenedCheckpoint open_checkpoint(const std::string& path,
                                 const ReadingOptions& options,
                                 checkpoint::Missing missing) {
    checkpoint::OpenOptions how;
    if (!options.config.empty()) {
        how.config = options.config;
    }
    checkpoint::RecogniseOptions recognise;
    recognise.missing = missing;
    if (!options.family.empty()) {
        recognise.family = options.family;
    }
    if (!options.routing.empty()) {
        recognise.routing = options.routing;
    }
    auto opened = checkpoint::Checkpoint::open(path, how);
    auto model = in_context([&] { return format("recognising {}", in_quotes(path, 1000)); },
                            [&] { return checkpoint::recognise(opened, recognise); });
    return {.checkpoint = std::move(opened), .model = std::move(model)};
}

}  // namespace anamnesis::app
