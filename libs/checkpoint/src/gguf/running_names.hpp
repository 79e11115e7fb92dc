// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// How the values of a stored tensor become those of the family's own.
enum class StoredForm : std::uint8_t {
    as_is,
    plus_one,       ///< gains, stored with the one that the family leaves out
    negative_rate,  ///< -exp(A_log)
};

/// Rows [first, first + rows) of a stored tensor that is seen as a matrix of as many columns as the
/// planned one has; rows 0: all of them.
struct StoredPart {
    const TensorEntry* tensor = nullptr;
    std::uint64_t first = 0;
    std::uint64_t rows = 0;
};

/// Where a GGUF file has a planned tensor: parts one after another. Empty where it has none.
/// Source: llama.cpp, gguf-py/gguf/tensor_mapping.py and the loaders of src/models.
struct StoredTensor {
    std::vector<StoredPart> parts{};
    StoredForm form = StoredForm::as_is;
};

StoredTensor find_stored(const Checkpoint& file,
                         const Blueprint& blueprint,
                         const PlannedTensor& planned,
                         bool adds_one_to_gains);

}  // namespace anamnesis::checkpoint
