// SPDX-License-Identifier: Apache-2.0
#include "open_checkpoint.hpp"

#include <string>
#include <utility>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/restore/merged_view.hpp"
#include "anamnesis/restore/open_pair.hpp"

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

checkpoint::RecognisedCheckpoint open_checkpoint(const std::string& path,
                                                 const ReadingOptions& options,
                                                 checkpoint::Missing missing) {
    checkpoint::RecogniseOptions recognising = make_recognise_options(options);
    recognising.missing = missing;
    return checkpoint::open_recognised(path, make_open_options(options), recognising);
}

restore::CheckpointPair open_pair(const std::string& pre,
                                  const std::string& post,
                                  const ReadingOptions& options) {
    return restore::open_pair(
        pre, post, make_open_options(options), make_recognise_options(options));
}

checkpoint::RecognisedCheckpoint open_with_adapter(const eval::AskedModel& model,
                                                   const ReadingOptions& options) {
    checkpoint::RecognisedCheckpoint base = open_checkpoint(model.place, options);
    if (model.adapter.empty()) {
        return base;
    }
    return restore::view_with_adapter(checkpoint::open_adapter(model.adapter), std::move(base));
}

}  // namespace anamnesis::app
