// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

/// A choice among the rows of a model. Rows of q, k, v, gate and latent are those of softmax
/// layers.
struct RowSelection {
    std::set<TensorGroup> groups{};
    std::optional<std::set<std::uint32_t>> layers{};  ///< absent: all
    /// Key-value heads, with the query heads that share them; absent: all. Rows that belong to no
    /// single head are left out where heads are named.
    std::optional<std::set<std::uint32_t>> kv_heads{};
};

/// Groups joined by ',' or '+', of q, k, v, o, gate, latent, mlp, mixer, norms, embedding, head,
/// other, and qk for q and k.
/// Errors: `usage` for a word that is no group, naming it and `option`.
std::set<TensorGroup> parse_tensor_groups(std::string_view words, std::string_view option);

/// Groups; then, where not all of them are meant, '@' and layers, '#' and key-value heads: "qk",
/// "mlp+norms@0-5", "q@3,7#0".
/// Errors: as `parse_tensor_groups`; `usage` for a list of numbers that is none.
RowSelection parse_row_selection(std::string_view words);

/// The rows of each tensor that a selection takes, ascending, neighbours as one range. A tensor
/// that holds queries and gates (Qwen3-Next) is cut.
/// Errors: `usage` for a layer or a head that the model does not have; `not_found` where nothing is
///         selected. `words` names the selection in them.
std::map<std::string, std::vector<RowRange>> select_rows(const Checkpoint& checkpoint,
                                                         const Model& model,
                                                         const RowSelection& selection,
                                                         std::string_view words);

}  // namespace anamnesis::checkpoint
