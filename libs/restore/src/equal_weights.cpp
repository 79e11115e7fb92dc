// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/equal_weights.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "pairing.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorEntry;

/// Bytes that are compared at once: whole rows, which lie on whole blocks of any type.
std::uint64_t choose_step(const TensorEntry& tensor) {
    constexpr std::uint64_t wanted = 1U << 20U;
    const std::uint64_t row = tensor.row_bytes();
    return row == 0 ? tensor.bytes : row * std::max<std::uint64_t>(1, wanted / row);
}

void check_stop(const Watch& watch) {
    throw_if_stopped(watch, [] { return std::string("interrupted; nothing was written"); });
}

/// Compares bytes [pre_begin, pre_begin + size) of pre with those of post from `post_begin` on.
bool are_equal(const TensorEntry& pre,
               std::uint64_t pre_begin,
               const TensorEntry& post,
               std::uint64_t post_begin,
               std::uint64_t size,
               const Watch& watch) {
    const std::uint64_t step = choose_step(post);
    std::vector<std::byte> one(std::min(step, size));
    std::vector<std::byte> other(one.size());
    for (std::uint64_t at = 0; at < size; at += step) {
        check_stop(watch);
        const auto part = static_cast<std::size_t>(std::min(step, size - at));
        const std::span<std::byte> of_pre = std::span(one).first(part);
        const std::span<std::byte> of_post = std::span(other).first(part);
        pre.read_at(pre_begin + at, of_pre);
        post.read_at(post_begin + at, of_post);
        if (!std::ranges::equal(of_pre, of_post)) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool are_weights_equal(const RecognisedCheckpoint& pre,
                       const RecognisedCheckpoint& post,
                       const Watch& watch) {
    const Pairing pairing(pre, post);
    return std::ranges::all_of(post.checkpoint.tensors(), [&](const TensorEntry& tensor) {
        check_stop(watch);
        const TensorEntry* counterpart = pairing.find_pre(tensor.name);
        return counterpart != nullptr && counterpart->dtype == tensor.dtype &&
               counterpart->shape == tensor.shape && counterpart->bytes == tensor.bytes &&
               are_equal(*counterpart, 0, tensor, 0, tensor.bytes, watch);
    });
}

bool has_unequal_rows(const Plan& plan, const Watch& watch) {
    return std::ranges::any_of(plan.changes, [&](const TensorChange& change) {
        const std::uint64_t row_bytes = change.post->row_bytes();
        return change.is_converted() ||
               std::ranges::any_of(change.splices, [&](const RowSplice& splice) {
                   return !are_equal(*change.pre,
                                     splice.pre_row * row_bytes,
                                     *change.post,
                                     splice.rows.begin * row_bytes,
                                     splice.rows.size() * row_bytes,
                                     watch);
               });
    });
}

std::string describe_equal_rows(const Request& request) {
    return format(
        "the rows that --method {} takes are the same in pre and post: there is nothing to "
        "repair (post may be repaired already, or pre may not be the checkpoint before "
        "the fine-tune)",
        to_string(request.selection.method));
}

void require_unequal_rows(const Plan& plan, const Watch& watch) {
    if (plan.merge == nullptr && plan.adapter == nullptr && !has_unequal_rows(plan, watch)) {
        throw Error(ErrorKind::mismatch, describe_equal_rows(plan.request));
    }
}

}  // namespace anamnesis::restore
