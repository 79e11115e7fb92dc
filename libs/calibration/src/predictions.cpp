// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/calibration/predictions.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/runtime/network.hpp"

#include "text_sums.hpp"

namespace anamnesis::calibration {
namespace {

/// Positions whose logits are made at once: of a large vocabulary they are the largest thing here.
constexpr std::int64_t logits_block = 128;

TextPredictions predict_text(const runtime::Network& network,
                             const language::SupervisedText& text) {
    const at::Tensor positions = find_predicting(text);
    const at::Tensor labels = at::tensor(text.labels, at::kLong).index_select(0, positions + 1);
    const at::Tensor hidden = network.forward(to_tensor(text)).select(0, 0);
    TextPredictions made;
    for (std::int64_t first = 0; first < positions.size(0); first += logits_block) {
        const std::int64_t count = std::min(logits_block, positions.size(0) - first);
        const at::Tensor at = positions.narrow(0, first, count);
        const at::Tensor wanted = labels.narrow(0, first, count);
        const at::Tensor logits =
            network.logits(hidden.index_select(0, at.to(hidden.device())).unsqueeze(0))
                .select(0, 0)
                .to(at::kCPU, at::kDouble);
        const at::Tensor losses =
            (at::logsumexp(logits, {1}) - logits.gather(1, wanted.unsqueeze(1)).squeeze(1))
                .contiguous();
        const auto* values = losses.const_data_ptr<double>();
        made.losses.insert(made.losses.end(), values, values + count);
        made.right +=
            static_cast<std::size_t>((logits.argmax(1) == wanted).sum().item<std::int64_t>());
    }
    return made;
}

}  // namespace

std::vector<TextPredictions> predict(const runtime::Network& network,
                                     std::span<const language::SupervisedText> texts,
                                     const Watch& watch) {
    const at::NoGradGuard no_gradients;
    std::vector<TextPredictions> made;
    for (const language::SupervisedText& text : texts) {
        throw_if_stopped(watch, [] { return std::string("interrupted between two texts"); });
        made.push_back(predict_text(network, text));
        watch.progress().advance(text.ids.size());
    }
    return made;
}

}  // namespace anamnesis::calibration
