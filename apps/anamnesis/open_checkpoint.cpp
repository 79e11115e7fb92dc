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

checkpoint::OpenOptions make_open_options(const ReadingOptions& options) {
    checkpoint::OpenOptions how;
    if (!options.config.empty()) {
        how.config = options.config;
    }
    return how;
}

checkpoint::RecogniseOptions make_recognise_options(const ReadingOptions& options) {
    checkpoint::RecogniseOptions recognise;
    if (!options.family.empty()) {
        recognise.family = options.family;
    }
    if (!options.routing.empty()) {
        recognise.routing = options.routing;
    }
    return recognise;
}

OpenedCheckpoint open_checkpoint(const std::string& path,
                                 const ReadingOptions& options,
                                 checkpoint::Missing missing) {
    checkpoint::RecogniseOptions recognise = make_recognise_options(options);
    recognise.missing = missing;
    auto opened = checkpoint::Checkpoint::open(path, make_open_options(options));
    auto model = in_context([&] { return format("recognising {}", in_quotes(path, 1000)); },
                            [&] { return checkpoint::recognise(opened, recognise); });
    return {.checkpoint = std::move(opened), .model = std::move(model)};
}

}  // namespace anamnesis::app
