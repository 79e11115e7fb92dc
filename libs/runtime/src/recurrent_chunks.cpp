// SPDX-License-Identifier: Apache-2.0
#include "recurrent_chunks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>

namespace anamnesis::runtime {
namespace {

/// [B, T, H, D] -> [B, H, N, C, D].
at::Tensor in_chunks(const at::Tensor& x, std::int64_t chunks, std::int64_t length) {
    return x.reshape({x.size(0), chunks, length, x.size(2), x.size(3)}).permute({0, 3, 1, 2, 4});
}

/// The running sum of decays inside each chunk: [B, H, N, C], or [1, H, 1, C] for a fixed decay.
at::Tensor running_decay(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    if (r.decay.dim() == 1) {
        const at::Tensor steps = at::arange(1, length + 1, r.decay.options());
        return (r.decay.unsqueeze(1) * steps).unsqueeze(0).unsqueeze(2);
    }
    return at::cumsum(gates_in_chunks(r.decay, chunks, length), -1);
}

/// exp(c_i - c_j) for j <= i, else 0. The difference is masked before it is raised: above the
/// diagonal it may overflow, and infinity times zero is no number.
at::Tensor decay_between(const at::Tensor& c) {
    const std::int64_t length = c.size(-1);
    const at::Tensor later = at::ones({length, length}, c.options().dtype(at::kBool)).triu(1);
    return at::exp((c.unsqueeze(-1) - c.unsqueeze(-2)).masked_fill(later, -INFINITY));
}

void decay_heads(Chunks& in, const Recurrence& r) {
    const std::int64_t length = in.k.size(3);
    const at::Tensor c = running_decay(r, in.k.size(2), length);
    const at::Tensor between = decay_between(c);
    const at::Tensor keys = in.k.transpose(-1, -2);
    in.log_whole = c.narrow(-1, length - 1, 1);
    in.from_start = at::exp(c).unsqueeze(-1);
    in.scores = at::matmul(in.q, keys) * between;
    if (r.beta.defined()) {
        in.key_scores = at::matmul(in.k, keys) * between;
    }
    in.keys_to_end = (in.k * at::exp(in.log_whole - c).unsqueeze(-1)).transpose(-1, -2);
}

/// Tokens whose decays to each other are summed one by one. Between blocks, the decay is that from
/// the earlier token to the block's beginning and that from there to the later: both at most 1.
constexpr std::int64_t block_length = 16;

/// The decayed products of a few rows with one set of keys.
struct RowScores {
    at::Tensor scores{}, key_scores{};
};

/// Of the tokens of one block with each other. Decays are summed for each pair: a difference of
/// running sums would lose the digits of a small decay beside large ones.
RowScores score_within(const at::Tensor& q, const at::Tensor& k, const at::Tensor& decay) {
    const std::int64_t length = k.size(-2);
    const auto options = k.options().dtype(at::kBool);
    const at::Tensor is_after = at::ones({length, length}, options).tril(-1).unsqueeze(-1);
    const at::Tensor is_before = at::ones({length, length}, options).triu(1).unsqueeze(-1);
    // [.., i, j, K]: the sum of the decays after j, up to i.
    const at::Tensor between = at::cumsum(decay.unsqueeze(-2) * is_after, -3);
    const at::Tensor keys = at::exp(between.masked_fill(is_before, -INFINITY)) * k.unsqueeze(-3);
    const at::Tensor rows = at::stack({q, k}, -1);  // [.., i, K, 2]
    const at::Tensor both = at::matmul(keys, rows);
    return {.scores = both.select(-1, 0), .key_scores = both.select(-1, 1)};
}

/// A part of the rows of a matrix [.., C, C], from its first column on.
at::Tensor fill_row(const std::vector<at::Tensor>& parts, std::int64_t length) {
    const at::Tensor row = at::cat(parts, -1);
    return at::constant_pad_nd(row, {0, length - row.size(-1)});
}

void decay_channels(Chunks& in, const Recurrence& r) {
    const std::int64_t length = in.k.size(3);
    const at::Tensor decay = r.decay.reshape({in.k.size(0), in.k.size(2), length, in.k.size(1), -1})
                                 .permute({0, 3, 1, 2, 4});
    std::vector<at::Tensor> from_start;
    std::vector<at::Tensor> scores;
    std::vector<at::Tensor> key_scores;
    at::Tensor whole;     // [.., 1, K], of the blocks so far
    at::Tensor to_block;  // [.., tokens so far, K]: from each token to the block's beginning
    for (std::int64_t first = 0; first < length; first += block_length) {
        const std::int64_t count = std::min(block_length, length - first);
        const auto cut = [&](const at::Tensor& x) { return x.narrow(-2, first, count); };
        const at::Tensor c = at::cumsum(cut(decay), -2);
        const at::Tensor last = c.narrow(-2, count - 1, 1);
        const RowScores within = score_within(cut(in.q), cut(in.k), cut(decay));
        std::vector<at::Tensor> rows;
        std::vector<at::Tensor> key_rows;
        if (first > 0) {
            const at::Tensor from_block = at::exp(c);
            const at::Tensor earlier =
                (in.k.narrow(-2, 0, first) * at::exp(to_block)).transpose(-1, -2);
            rows.push_back(at::matmul(cut(in.q) * from_block, earlier));
            key_rows.push_back(at::matmul(cut(in.k) * from_block, earlier));
        }
        rows.push_back(within.scores);
        key_rows.push_back(within.key_scores);
        scores.push_back(fill_row(rows, length));
        key_scores.push_back(fill_row(key_rows, length));
        from_start.push_back(first > 0 ? whole + c : c);
        // Summed from the end for the same reason as within a block.
        const at::Tensor to_end = at::cumsum(cut(decay).flip(-2), -2).flip(-2) - cut(decay);
        to_block = first > 0 ? at::cat({to_block + last, to_end}, -2) : to_end;
        whole = first > 0 ? whole + last : last;
    }
    in.log_whole = whole.squeeze(-2);
    in.from_start = at::exp(at::cat(from_start, -2));
    in.scores = at::cat(scores, -2);
    in.key_scores = at::cat(key_scores, -2);
    in.keys_to_end = (in.k * at::exp(to_block)).transpose(-1, -2);
}

}  // namespace

at::Tensor gates_in_chunks(const at::Tensor& x, std::int64_t chunks, std::int64_t length) {
    return x.reshape({x.size(0), chunks, length, x.size(2)}).permute({0, 3, 1, 2});
}

Chunks cut_into_chunks(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    Chunks in{.q = in_chunks(r.q, chunks, length) * r.scale,
              .k = in_chunks(r.k, chunks, length).contiguous(),
              .v = in_chunks(r.v, chunks, length)};
    if (r.decay.dim() == 4) {
        decay_channels(in, r);
    } else {
        decay_heads(in, r);
    }
    return in;
}

}  // namespace anamnesis::runtime
