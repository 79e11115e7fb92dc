// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anamnesis::train {

/// A label that says: not supervised.
inline constexpr std::int64_t no_label = -100;

/// Tokens that go through the model together. Labels are at the positions of `ids`, as Hugging
/// Face has them: the logits of position t are compared with the label of t + 1.
struct Batch {
    std::size_t rows = 0;
    std::size_t length = 0;
    std::vector<std::int64_t> ids{};     ///< [rows, length]
    std::vector<std::int64_t> labels{};  ///< [rows, length]
    /// [rows, length], how much the prediction of each label counts; empty: all alike.
    std::vector<float> weights{};
    /// Where the samples of a packed row begin, and its length last: 0, 29, 48. One row then.
    /// Empty: every row is one sample.
    std::vector<std::int64_t> boundaries{};
};

/// What a run is trained on. A batch depends on the step alone, so that a run goes on exactly
/// where it was killed: there is no position to remember.
class BatchSource {
public:
    BatchSource() = default;
    BatchSource(const BatchSource&) = delete;
    BatchSource& operator=(const BatchSource&) = delete;
    virtual ~BatchSource() = default;

    /// The batches whose gradients one step of the optimiser sums.
    virtual std::vector<Batch> batches(std::uint64_t step) const = 0;

    /// Tokens of the largest batch: rows and length, for the estimate of memory.
    struct Size {
        std::size_t rows = 0;
        std::size_t length = 0;
    };
    virtual Size largest() const = 0;

    /// True where rows hold several samples.
    virtual bool is_packed() const { return false; }
};

}  // namespace anamnesis::train
