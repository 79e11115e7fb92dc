// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/synthetic/exactness.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/random.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/samples_source.hpp"

namespace anamnesis::train::synthetic {
namespace {

/// Whether the answer tokens of a row are all the likeliest; row by row.
std::vector<bool> right_rows(const runtime::Network& network, const Batch& batch) {
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> answers;
    std::vector<std::size_t> rows;
    for (std::size_t i = 1; i < batch.ids.size(); ++i) {
        if (batch.labels[i] != no_label && batch.weights[i] == 1.0F) {
            positions.push_back(static_cast<std::int64_t>(i) - 1);
            answers.push_back(batch.labels[i]);
            rows.push_back(i / batch.length);
        }
    }
    const at::Tensor ids =
        at::tensor(batch.ids, at::kLong)
            .view({static_cast<std::int64_t>(batch.rows), static_cast<std::int64_t>(batch.length)});
    const at::Tensor hidden = network.forward(ids);
    const at::Tensor chosen =
        at::argmax(
            network.logits(at::index_select(hidden.reshape({-1, hidden.size(-1)}),
                                            0,
                                            at::tensor(positions, at::kLong).to(hidden.device()))),
            -1)
            .to(at::kCPU)
            .contiguous();
    std::vector<bool> is_right(batch.rows, true);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (chosen.const_data_ptr<std::int64_t>()[i] != answers[i]) {
            is_right[rows[i]] = false;
        }
    }
    return is_right;
}

template <class Make>
Exactness measure(const runtime::Network& network,
                  std::size_t samples,
                  const Watch& watch,
                  const Make& make) {
    const at::NoGradGuard no_gradients;
    constexpr std::size_t tokens = 8192;  // of a batch
    Exactness result;
    while (result.outcomes.size() < samples) {
        throw_if_stopped(watch,
                         [] { return std::string("interrupted while recall was measured"); });
        std::vector<language::SupervisedText> made{make()};
        const std::size_t rows = std::clamp<std::size_t>(
            tokens / made.front().ids.size(), 1, samples - result.outcomes.size());
        while (made.size() < rows) {
            made.push_back(make());
        }
        std::vector<const language::SupervisedText*> pointers;
        for (const language::SupervisedText& sample : made) {
            pointers.push_back(&sample);
        }
        for (const bool is_right : right_rows(network, padded(pointers))) {
            result.outcomes.push_back(is_right);
        }
    }
    return result;
}

}  // namespace

std::uint64_t Exactness::right() const {
    return static_cast<std::uint64_t>(std::ranges::count(outcomes, true));
}

double Exactness::percent() const {
    return outcomes.empty()
               ? 0.0
               : 100.0 * static_cast<double>(right()) / static_cast<double>(outcomes.size());
}

Exactness recall(const runtime::Network& network,
                 Needle needle,
                 std::size_t length,
                 std::size_t samples,
                 std::uint64_t seed,
                 const Watch& watch) {
    Random random(Random(seed + length).next() + static_cast<std::uint64_t>(needle));
    constexpr std::size_t question = question_tokens + 1;  // and the beginning of the text
    const std::size_t room =
        length < question + needle_tokens ? 1 : (length - question) / needle_tokens;
    const RetrievalShape shape{
        .needle = needle, .length = length, .needles = std::min(most_needles, room)};
    return measure(network, samples, watch, [&] { return retrieval(random, shape); });
}

Exactness reasoning(const runtime::Network& network,
                    std::size_t samples,
                    std::uint64_t seed,
                    const Watch& watch) {
    Random random(Random(seed).next());
    return measure(network, samples, watch, [&] { return chain_of_thought(random); });
}

}  // namespace anamnesis::train::synthetic
