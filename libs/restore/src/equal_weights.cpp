// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/equal_weights.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"

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

bool are_equal(const TensorEntry& pre, const TensorEntry& post) {
    if (pre.dtype != post.dtype || pre.shape != post.shape || pre.bytes != post.bytes) {
        return false;
    }
    const std::uint64_t step = choose_step(post);
    std::vector<std::byte> one(std::min(step, post.bytes));
    std::vector<std::byte> other(one.size());
    for (std::uint64_t begin = 0; begin < post.bytes; begin += step) {
        const auto size = static_cast<std::size_t>(std::min(step, post.bytes - begin));
        const std::span<std::byte> of_pre = std::span(one).first(size);
        const std::span<std::byte> of_post = std::span(other).first(size);
        pre.read_at(begin, of_pre);
        post.read_at(begin, of_post);
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
        throw_if_stopped(watch, [] { return std::string("interrupted; nothing was written"); });
        const TensorEntry* counterpart = pairing.find_pre(tensor.name);
        return counterpart != nullptr && are_equal(*counterpart, tensor);
    });
}

}  // namespace anamnesis::restore
