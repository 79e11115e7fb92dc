// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/loss.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/cross_entropy.hpp"

namespace anamnesis::train {
namespace {

/// Calls `take(position, label index)` for every supervised prediction: the logits of `position`
/// against the label after it. The label at the beginning of a sample counts for nobody.
template <class Take>
void for_each_prediction(const Batch& batch, const Take& take) {
    ANAMNESIS_CHECK(batch.ids.size() == batch.rows * batch.length &&
                        batch.labels.size() == batch.ids.size() &&
                        (batch.weights.empty() || batch.weights.size() == batch.ids.size()),
                    "a batch of [rows, length] ids, labels and weights");
    std::size_t boundary = 0;
    for (std::size_t row = 0; row < batch.rows; ++row) {
        for (std::size_t t = 0; t < batch.length; ++t) {
            const std::size_t i = row * batch.length + t;
            const bool begins_sample =
                batch.boundaries.empty()
                    ? t == 0
                    : boundary < batch.boundaries.size() &&
                          batch.boundaries[boundary] == static_cast<std::int64_t>(t);
            if (begins_sample) {
                ++boundary;
            } else if (batch.labels[i] != no_label) {
                take(i - 1, i);
            }
        }
    }
}

void check_id(std::int64_t id, std::uint32_t vocabulary, std::size_t place, const Batch& batch) {
    if (id < 0 || id >= vocabulary) {
        throw Error(ErrorKind::malformed,
                    format("token id {} at position {} of row {} is outside the vocabulary of {}",
                           id,
                           place % batch.length,
                           place / batch.length,
                           vocabulary));
    }
}

}  // namespace

Supervision count_supervision(const Batch& batch, std::uint32_t vocabulary) {
    for (std::size_t i = 0; i < batch.ids.size(); ++i) {
        check_id(batch.ids[i], vocabulary, i, batch);
    }
    Supervision supervision;
    for_each_prediction(batch, [&](std::size_t /*position*/, std::size_t label) {
        check_id(batch.labels[label], vocabulary, label, batch);
        ++supervision.predictions;
        supervision.weight +=
            batch.weights.empty() ? 1.0 : static_cast<double>(batch.weights[label]);
    });
    return supervision;
}

at::Tensor summed_loss(const runtime::Network& network, const Batch& batch) {
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> labels;
    std::vector<double> weights;
    for_each_prediction(batch, [&](std::size_t position, std::size_t label) {
        positions.push_back(static_cast<std::int64_t>(position));
        labels.push_back(batch.labels[label]);
        if (!batch.weights.empty()) {
            weights.push_back(static_cast<double>(batch.weights[label]));
        }
    });
    if (positions.empty()) {
        return {};
    }
    const at::Tensor ids =
        at::tensor(batch.ids, at::kLong)
            .view({static_cast<std::int64_t>(batch.rows), static_cast<std::int64_t>(batch.length)});
    const at::Tensor hidden = batch.boundaries.empty()
                                  ? network.forward(ids)
                                  : network.forward_packed(ids, batch.boundaries);
    const at::Tensor rows = hidden.reshape({-1, hidden.size(-1)});
    return runtime::summed_cross_entropy(
        at::index_select(rows, 0, at::tensor(positions, at::kLong).to(rows.device())),
        network.logit_head(),
        at::tensor(labels, at::kLong),
        weights.empty() ? at::Tensor() : at::tensor(weights, at::kDouble));
}

}  // namespace anamnesis::train
