// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::checkpoint {
struct AdapterMatch;
}

namespace anamnesis::restore {

using checkpoint::RecognisedCheckpoint;

/// Where the new bytes of rows come from.
enum class RowSource : std::uint8_t {
    pre,       ///< pre's bytes; rounded where the dtypes differ
    blend,     ///< lerp of pre and post
    computed,  ///< by the routing groups (pro, align), the fit groups, or with the rows of a scale
};

/// Rows of a post tensor that are replaced, and where pre's counterparts begin.
struct RowSplice {
    checkpoint::RowRange rows;
    std::uint64_t pre_row = 0;
    checkpoint::RowRole role = checkpoint::RowRole::query;
    RowSource source = RowSource::pre;
};

struct TensorChange {
    const checkpoint::TensorEntry* post = nullptr;
    const checkpoint::TensorEntry* pre = nullptr;
    std::vector<RowSplice> splices;     ///< ascending; adjacent rows of one role are merged
    std::optional<LayerIndex> layer{};  ///< absent for draft heads, embeddings, heads
    /// What the receipt sums drift under: "q", "k", "v" or the name of a tensor group.
    std::string part;
    /// Scales of 8-bit floats, where rows go from one storage into another; absent where the bytes
    /// of rows and scales are copied.
    std::optional<checkpoint::ScaleTensor> pre_scale{};
    std::optional<checkpoint::ScaleTensor> post_scale{};

    std::uint64_t changed_rows() const;
    std::uint64_t changed_bytes() const { return changed_rows() * post->row_bytes(); }
    bool is_converted() const { return post->dtype != pre->dtype || pre_scale || post_scale; }
    /// Rows are rounded to 8-bit floats under new scales.
    bool is_requantised() const { return post_scale.has_value(); }
    /// Every replaced row is pre's own bytes.
    bool is_exact() const;
};

/// How the values of a matrix lie in rows of its tensor.
enum class MatrixLayout : std::uint8_t {
    rows,        ///< a row of the tensor is a row of the matrix
    stacked,     ///< a row of the tensor is a matrix [outputs, inputs], or a bias [outputs]
    transposed,  ///< a row of the tensor is a matrix [inputs, outputs]
};

/// The rows of one head in one tensor, in post and in pre; or the matrix of one expert in a stack.
struct HeadRows {
    const checkpoint::TensorEntry* post = nullptr;
    const checkpoint::TensorEntry* pre = nullptr;  ///< null: pre has zeros (a factor of an adapter)
    std::uint64_t post_row = 0;
    std::uint64_t pre_row = 0;
    std::uint64_t rows = 0;  ///< of the tensor
    MatrixLayout layout = MatrixLayout::rows;

    /// Of the matrix that they hold; a bias is a column.
    std::uint64_t matrix_rows() const;
    std::uint64_t matrix_columns() const;
};

/// Weight rows and, where the projection has one, the bias of the same rows.
struct HeadBlock {
    std::uint32_t head = 0;
    HeadRows weight;
    std::optional<HeadRows> bias{};
};

/// The query heads that read one block of key rows: the unit in which routing is measured and
/// repaired. With grouped-query attention one group is one key head; an MLA layer has a group for
/// each head's rows without position and one for the rotary rows that all heads share.
struct RoutingGroup {
    std::optional<LayerIndex> layer{};
    std::uint32_t kv_head = 0;
    bool is_shared_key = false;  ///< MLA's rotary rows
    std::vector<HeadBlock> queries;
    HeadBlock key;
    checkpoint::RotaryLayout rotary{};                    ///< within the rows of this group
    const checkpoint::TensorEntry* query_gain = nullptr;  ///< q_norm of post; null without QK-norm
    const checkpoint::TensorEntry* key_gain = nullptr;
};

/// The groups of every softmax layer that both checkpoints have, heads known.
/// Errors: `unsupported` where the heads are not known or queries pass through a low-rank
/// projection, naming the layer.
std::vector<RoutingGroup> routing_groups(const RecognisedCheckpoint& pre,
                                         const RecognisedCheckpoint& post,
                                         const Selection& selection);

/// The rows of one layer that are fitted with the moments of one part (moments.hpp).
struct FitGroup {
    std::optional<LayerIndex> layer{};  ///< absent for the head
    std::string part;
    /// `head` is the key-value head of keys and values, whose moment may be its own, and the
    /// expert of "experts" and "experts_down", whose moment is.
    std::vector<HeadBlock> rows{};
    bool has_bias = false;    ///< inputs are followed by 1
    bool sums_heads = false;  ///< one moment, the sum of those of all heads, serves all rows
};

struct Merge;
class ImportanceMatrix;

/// What a repair will do, as data: nothing is written by making it.
struct Plan {
    const RecognisedCheckpoint* pre = nullptr;
    const RecognisedCheckpoint* post = nullptr;
    Request request;
    std::vector<TensorChange> changes;  ///< in the order of post's files and offsets
    std::vector<RoutingGroup> groups;   ///< for pro and align
    std::vector<FitGroup> fits{};       ///< for fit
    /// For fit within an adapter: post is the base, which is pre, with it; `fits` are its factors
    /// A.
    const checkpoint::AdapterMatch* adapter = nullptr;
    /// Pre as post's container has it, where they are of different ones; `pre` is this then.
    std::shared_ptr<const RecognisedCheckpoint> view{};
    /// Weights to quantise with; null where none were given.
    std::shared_ptr<const ImportanceMatrix> importance{};
    /// For fit, of each output; set by whoever calibrates, before the plan is carried out.
    std::vector<std::shared_ptr<const MomentSource>> moments{};
    /// The adapter that is merged into pre (merge.hpp); null for other repairs.
    std::shared_ptr<const Merge> merge{};
    /// What was found in pre, in post and in the pair, and what the request allows or touches.
    std::vector<checkpoint::Finding> findings{};

    std::uint64_t changed_bytes() const;
    /// Layers whose rows change, ascending.
    std::vector<std::uint32_t> changed_layers() const;
};

/// Takes what the chosen groups hold beside matrices and biases out of the changes of `fit`, and
/// says so.
void leave_unfitted(const RecognisedCheckpoint& post,
                    std::vector<TensorChange>& changes,
                    std::vector<checkpoint::Finding>& findings);

/// The rows of `fit` by part, and the biases that are fitted with them.
/// Errors: `unsupported` for rows whose inputs have no moments (MLA, other mixers, norms), naming
/// the tensor and the groups that have.
std::vector<FitGroup> make_fit_groups(const RecognisedCheckpoint& post,
                                      const std::vector<TensorChange>& changes,
                                      const Request& request);

/// Decides which rows come from where.
/// Errors: `mismatch` with everything that does not fit, at once; `usage` for layers or heads that
/// do not exist and for a selection without rows, naming the switch that would give it some;
/// `unsupported` for a scale block that repaired and other rows share.
Plan make_plan(const RecognisedCheckpoint& pre,
               const RecognisedCheckpoint& post,
               const Request& request);

}  // namespace anamnesis::restore
