// SPDX-License-Identifier: Apache-2.0
#include "chunk_states.hpp"

#include <cmath>
#include <cstdint>

#include <ATen/ops/arange.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/bitwise_xor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>

namespace anamnesis::runtime {

ChunkStates decayed_states(const at::Tensor& log_factor,
                           const at::Tensor& added,
                           const at::Tensor& first) {
    const std::int64_t chunks = added.size(2);
    // Row n, column j: e^(g (n - j)) for j <= n. What is there before the first chunk is column 0.
    const at::Tensor steps = at::arange(chunks + 1, log_factor.options());
    const at::Tensor apart = steps.unsqueeze(1) - steps.unsqueeze(0);
    const at::Tensor factors = at::exp(
        (log_factor.view({-1, 1, 1}) * apart.clamp_min(0.0)).masked_fill(apart < 0.0, -INFINITY));
    const at::Tensor all = at::cat({first.unsqueeze(2), added}, 2);
    const at::Tensor states = at::matmul(factors, all.flatten(3)).view(all.sizes());
    return {.entering = states.narrow(2, 0, chunks), .last = states.select(2, chunks).contiguous()};
}

ChunkStates multiplied_states(const at::Tensor& transition,
                              const at::Tensor& added,
                              const at::Tensor& first) {
    const std::int64_t chunks = added.size(2);
    const auto by_chunk = [](const at::Tensor& x) {
        return x.flatten(0, 1).transpose(0, 1).contiguous();  // [N, B H, K, ...]
    };
    const at::Tensor factors = by_chunk(transition);
    const at::Tensor terms = by_chunk(added);
    const at::Tensor start = first.flatten(0, 1);
    at::Tensor states =
        at::empty({chunks + 1, start.size(0), start.size(1), start.size(2)}, start.options());
    states.select(0, 0).copy_(start);
    for (std::int64_t n = 0; n < chunks; ++n) {
        at::Tensor next = states.select(0, n + 1);
        at::baddbmm_out(next, terms.select(0, n), factors.select(0, n), states.select(0, n));
    }
    return {.entering = states.narrow(0, 0, chunks)
                            .transpose(0, 1)
                            .unflatten(0, {first.size(0), first.size(1)}),
            .last = states.select(0, chunks).view(first.sizes()).clone()};
}

at::Tensor inverse_of_unit_lower(const at::Tensor& lower) {
    const std::int64_t size = lower.size(-1);
    const at::Tensor rows = lower.flatten(0, -3);
    const at::Tensor index = at::arange(size, lower.options().dtype(at::kLong));
    const at::Tensor differing = at::bitwise_xor(index.unsqueeze(1), index.unsqueeze(0));
    // Two inverted blocks on the diagonal and what lies below it between them make the inverse of
    // a block twice as large: there -X_2 L X_1, from which row and column differ in bit `level`
    // and in none above.
    at::Tensor inverse = at::eye(size, lower.options()).expand_as(rows);
    for (std::int64_t level = 0; (std::int64_t{1} << level) < size; ++level) {
        const at::Tensor elsewhere = at::bitwise_right_shift(differing, level) != 1;
        const at::Tensor between = rows.masked_fill(elsewhere, 0.0);
        inverse = level == 0 ? inverse - between
                             : at::baddbmm(inverse,
                                           at::matmul(inverse, between),
                                           inverse,
                                           /*beta=*/1.0,
                                           /*alpha=*/-1.0);
    }
    return inverse.reshape(lower.sizes());
}

}  // namespace anamnesis::runtime
