// SPDX-License-Identifier: Apache-2.0
#include "shares.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {
namespace {

/// Rows [begin, end) of a batch whose rows are samples.
Batch take_rows(const Batch& batch, std::size_t begin, std::size_t end) {
    const auto part = [&](const auto& values) {
        const auto taken =
            std::span(values).subspan(begin * batch.length, (end - begin) * batch.length);
        return std::vector(taken.begin(), taken.end());
    };
    return {.rows = end - begin,
            .length = batch.length,
            .ids = part(batch.ids),
            .labels = part(batch.labels),
            .weights = batch.weights.empty() ? std::vector<float>() : part(batch.weights)};
}

}  // namespace

std::vector<Batch> take_share(std::span<const Batch> batches, std::size_t rank, std::size_t count) {
    std::vector<Batch> share;
    std::size_t rows_before = 0;
    std::size_t all = 0;
    for (const Batch& batch : batches) {
        all += batch.rows;
    }
    // Rows are counted through all batches.
    const std::size_t first = all * rank / count;
    const std::size_t last = all * (rank + 1) / count;
    for (const Batch& batch : batches) {
        const std::size_t begin = std::clamp(first, rows_before, rows_before + batch.rows);
        const std::size_t end = std::clamp(last, rows_before, rows_before + batch.rows);
        if (end - begin == batch.rows) {
            share.push_back(batch);
        } else if (end > begin) {
            share.push_back(take_rows(batch, begin - rows_before, end - rows_before));
        }
        rows_before += batch.rows;
    }
    return share;
}

}  // namespace anamnesis::train
