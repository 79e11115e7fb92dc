// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train::synthetic {

enum class Task : std::uint8_t {
    retrieval,
    lookup,
    arithmetic,
    cot,
    instruct,
    /// What pretraining needs: of 12 steps 3 are sums (three quarters of them chained), 2 look-ups
    /// and 7 retrieval with up to fourteen needles and four questions.
    mix,
};

/// Errors: `usage` for a word that is no task.
Task parse_task(std::string_view word);
std::string_view to_string(Task task);

/// So many steps of batches of this size. Look-ups and sums have lengths of their own; of chains
/// of thought a text holds as many as fit, at least one.
struct Stage {
    std::uint64_t steps = 0;
    std::size_t rows = 0;
    std::size_t length = 0;  ///< tokens of a text
};

/// "150x32x64": steps, rows, length. Errors: `usage`.
Stage parse_stage(const std::string& word);

/// Samples made as they are needed: those of a step depend on seed and step alone.
class SyntheticSource final : public BatchSource {
public:
    /// Errors: `usage` for no stages, or texts shorter than a needle and its question.
    SyntheticSource(Task task, std::vector<Stage> stages, std::uint64_t seed);

    /// Of all stages together.
    std::uint64_t steps() const noexcept;

    std::vector<Batch> batches(std::uint64_t step) const override;
    Size largest() const override;

private:
    Task task_;
    std::vector<Stage> stages_;
    std::uint64_t seed_;
};

}  // namespace anamnesis::train::synthetic
