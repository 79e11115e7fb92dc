// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

struct BatchingRules {
    std::size_t rows = 8;           ///< samples of a batch, or packed rows
    std::size_t accumulated = 1;    ///< batches of a step
    std::size_t packed_length = 0;  ///< tokens of a packed row; 0: a sample a row
    std::uint64_t seed = 0;
};

/// Samples in an order of their own in every epoch. Shorter rows of a batch are filled up behind
/// their end, which no token before it sees; packed rows hold as many samples as fit.
class SamplesSource final : public BatchSource {
public:
    /// Errors: `usage` for a sample that is longer than a packed row.
    SamplesSource(std::vector<language::SupervisedText> samples, const BatchingRules& rules);

    std::vector<Batch> batches(std::uint64_t step) const override;
    Size largest() const override;
    bool is_packed() const override { return rules_.packed_length > 0; }

    /// Samples, or packed rows, of an epoch.
    std::size_t units() const noexcept { return units_.size(); }

private:
    using Unit = std::vector<std::size_t>;  ///< samples of a row

    std::vector<language::SupervisedText> samples_;
    BatchingRules rules_;
    std::vector<Unit> units_;
};

/// Samples as the rows of one batch, filled up to the longest.
Batch padded(const std::vector<const language::SupervisedText*>& samples);
/// Samples one after the other in one row.
Batch packed(const std::vector<const language::SupervisedText*>& samples);

}  // namespace anamnesis::train
