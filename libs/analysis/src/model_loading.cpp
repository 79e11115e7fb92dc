// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/model_loading.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
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

void describe_loading(const ModelLoading& loading, Json& settings) {
    std::string type = "as stored";
    if (loading.running.dtype) {
        type = to_string(*loading.running.dtype);
        std::ranges::transform(
            type, type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    }
    settings.set("dtype", std::move(type));
    settings.set("attn_logits_scaling", loading.running.length_scaling.value_or(""));
}

}  // namespace anamnesis::analysis
