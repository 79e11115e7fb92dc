// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

#include "expected_rows.hpp"

namespace anamnesis::restore {

/// What a tensor of the repaired checkpoint is held against.
struct VerifySources {
    const checkpoint::Checkpoint& pre;
    const checkpoint::Checkpoint& repaired;
    const Request& request;
    const WrittenDigests& written;
    std::optional<ImportanceMatrix> importance{};
};

/// The rows of one tensor, and what is wrong with them.
struct TensorResult {
    TensorVerdict verdict;
    std::uint64_t bytes = 0;
    std::vector<std::string> deviations;
};

/// Holds each row of `result`, of the repaired checkpoint, against where it must come from.
/// `tensor` is post's; both have one type and shape.
TensorResult compare_tensor(const checkpoint::TensorEntry& tensor,
                            const checkpoint::TensorEntry& result,
                            const ExpectedRows& expected,
                            const VerifySources& sources,
                            const Execution& execution);

}  // namespace anamnesis::restore
