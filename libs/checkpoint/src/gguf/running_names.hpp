// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
    /// A tensor of the same form, whose values alternate with those of `tensor` in a planned row.
    const TensorEntry* partner = nullptr;
    /// The planned rows are the columns of the stored matrix whose first row is `first`.
    bool is_transposed = false;
};

/// Columns of value heads. A file has the first head of every group, then the second of every
/// group; the planned tensor has a group after the other.
struct HeadColumns {
    std::uint64_t groups = 1;
    std::uint64_t heads = 1;  ///< of a group
    std::uint64_t width = 0;  ///< of a head

    std::uint64_t count() const { return groups * heads * width; }
    /// Where the file has a planned column.
    std::uint64_t find(std::uint64_t column) const {
        const std::uint64_t head = column / width;
        return (head % heads * groups + head / heads) * width + column % width;
    }
};

/// Where a GGUF file has a planned tensor: parts one after another. Empty where it has none.
/// Source: llama.cpp, gguf-py/gguf/tensor_mapping.py and the loaders of src/models.
struct StoredTensor {
    std::vector<StoredPart> parts{};
    StoredForm form = StoredForm::as_is;
    std::optional<HeadColumns> columns{};  ///< where they are in an order of the file's own
};

/// The tensors of a file that may be a planned one, by its role.
class StoredNames {
public:
    /// Both must outlive it.
    StoredNames(const Checkpoint& file, const PlannedTensor& planned);

    /// The planned role, without what a bias or Mamba-2 beside attention adds to it.
    const std::string& role() const { return role_; }
    /// The tensor of the planned layer with this name, as a weight or as a bias; null for none.
    const TensorEntry* find(std::string_view name) const;
    /// Tensors that hold the values in the family's own order.
    std::vector<StoredPart> find_parts() const;

private:
    std::string in_block(std::string_view name) const;

    const Checkpoint& file_;
    const PlannedTensor& planned_;
    std::string role_;
    std::string ending_ = ".weight";
    bool is_mamba_ = false;
};

StoredTensor find_stored(const Checkpoint& file,
                         const Blueprint& blueprint,
                         const PlannedTensor& planned,
                         bool adds_one_to_gains);

}  // namespace anamnesis::checkpoint
