// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"

#include "pairing.hpp"
#include "select_rows.hpp"
#include "splices.hpp"

namespace anamnesis::restore {
namespace {

/// The rows of the scale tensor that follow the replaced rows of their weight.
/// Errors: `unsupported` where one scale serves replaced rows and others.
std::vector<RowSplice> follow_rows(const TensorChange& change,
                                   const checkpoint::ScaleTensor& scale) {
    std::vector<RowSplice> splices;
    const std::uint64_t block = scale.rows_per_block;
    const std::uint64_t weight_rows = change.post->rows();
    std::vector<bool> is_taken(weight_rows, false);
    std::vector<std::uint64_t> pre_rows(weight_rows, 0);
    std::vector<checkpoint::RowRole> roles(weight_rows, checkpoint::RowRole::query);
    for (const RowSplice& splice : change.splices) {
        for (std::uint64_t row = splice.rows.begin; row < splice.rows.end; ++row) {
            is_taken[row] = true;
            pre_rows[row] = splice.pre_row + (row - splice.rows.begin);
            roles[row] = splice.role;
        }
    }
    for (std::uint64_t begin = 0; begin < weight_rows; begin += block) {
        const std::uint64_t end = std::min(begin + block, weight_rows);
        const auto taken = std::count(is_taken.begin() + static_cast<std::ptrdiff_t>(begin),
                                      is_taken.begin() + static_cast<std::ptrdiff_t>(end),
                                      true);
        if (taken == 0) {
            continue;
        }
        if (static_cast<std::uint64_t>(taken) != end - begin || pre_rows[begin] % block != 0) {
            throw Error(ErrorKind::unsupported,
                        format("scale tensor {}: its row {} scales rows {}..{} of {}, of which "
                               "only some are repaired; no byte-exact answer exists: "
                               "dequantise both checkpoints first",
                               in_quotes(scale.tensor->name),
                               begin / block,
                               begin,
                               end,
                               in_quotes(change.post->name)));
        }
        append_rows(
            splices, {begin / block, begin / block + 1}, pre_rows[begin] / block, roles[begin]);
    }
    return splices;
}

}  // namespace

std::vector<TensorChange> select_scales(const RecognisedCheckpoint& pre,
                                        const RecognisedCheckpoint& post,
                                        const std::vector<TensorChange>& changes,
                                        std::vector<std::string>& problems) {
    const Pairing pairing(pre, post);
    std::vector<TensorChange> scales;
    for (const TensorChange& change : changes) {
        const auto scale = checkpoint::find_scale(post.checkpoint, change.post->name);
        if (!scale) {
            continue;
        }
        // A whole-tensor group has listed the scale already.
        if (std::ranges::any_of(changes,
                                [&](const auto& other) { return other.post == scale->tensor; })) {
            continue;
        }
        const auto pre_scale = checkpoint::find_scale(pre.checkpoint, change.pre->name);
        if (!pre_scale || pre_scale->rows_per_block != scale->rows_per_block ||
            pre_scale->tensor->shape != scale->tensor->shape ||
            pre_scale->tensor->dtype != scale->tensor->dtype) {
            problems.push_back(
                format("scale tensor {} of post has no counterpart of its shape and "
                       "dtype in pre",
                       in_quotes(scale->tensor->name)));
            continue;
        }
        TensorChange follower;
        follower.post = scale->tensor;
        follower.pre = pre_scale->tensor;
        follower.layer = change.layer;
        follower.part = "scale";
        follower.splices = follow_rows(change, *scale);
        scales.push_back(std::move(follower));
    }
    return scales;
}

}  // namespace anamnesis::restore
