// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/model_loading.hpp"

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

runtime::Network load_network(const eval::AskedModel& model, const ModelLoading& loading) {
    return in_context([&] { return format("opening {}", in_quotes(model.place, 1000)); },
                      [&] {
                          const checkpoint::RecognisedCheckpoint opened = loading.open(model);
                          return runtime::load_network(
                              opened.checkpoint, opened.model, loading.running);
                      });
}

}  // namespace anamnesis::analysis
