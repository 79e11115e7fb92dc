// SPDX-License-Identifier: Apache-2.0
#include "rotary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include "cpu_kernels.hpp"
#include "differentiable.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

RotaryTables make_tables(const RotarySpec& rotary,
                         std::span<const std::int64_t> starts,
                         std::int64_t length,
                         const at::Tensor& like) {
    std::vector<std::int64_t> rows(starts.begin(), starts.end());
    if (std::ranges::all_of(rows, [&](std::int64_t start) { return start == rows.front(); })) {
        rows.resize(1);
    }
    const at::Tensor positions =
        at::tensor(rows, at::kLong).unsqueeze(1) + at::arange(length, at::kLong).unsqueeze(0);
    const at::Tensor frequencies =
        at::tensor(rotary.frequencies, at::kDouble).to(like.scalar_type());
    const at::Tensor angles = positions.to(like.scalar_type()).unsqueeze(2) * frequencies;
    return {.cosine = (at::cos(angles) * rotary.magnitude).to(like.device()),
            .sine = (at::sin(angles) * rotary.magnitude).to(like.device())};
}

at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables) {
    const std::int64_t pairs = tables.cosine.size(-1);
    if (x.is_cpu() && x.scalar_type() == at::kFloat && !records_gradients(x) && x.is_contiguous()) {
        const std::int64_t tokens = x.size(1);
        const std::int64_t heads = x.size(2);
        const std::int64_t head_dim = x.size(3);
        const bool is_shared = tables.cosine.size(0) == 1;
        at::parallel_for(0, x.size(0) * tokens, 16, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                const std::int64_t table = (is_shared ? row % tokens : row) * pairs;
                for (std::int64_t head = 0; head < heads; ++head) {
                    cpu::rotate(x.mutable_data_ptr<float>() + (row * heads + head) * head_dim,
                                tables.cosine.const_data_ptr<float>() + table,
                                tables.sine.const_data_ptr<float>() + table,
                                static_cast<std::size_t>(pairs));
                }
            }
        });
        return x;
    }
    if (differentiable::applies_to(x, x)) {
        return differentiable::rotate(x, tables);
    }
    const at::Tensor cosine = tables.cosine.unsqueeze(2);
    const at::Tensor sine = tables.sine.unsqueeze(2);
    const at::Tensor first = x.narrow(-1, 0, pairs);
    const at::Tensor second = x.narrow(-1, pairs, pairs);
    return at::cat({first * cosine - second * sine,
                    second * cosine + first * sine,
                    x.narrow(-1, 2 * pairs, x.size(-1) - 2 * pairs)},
                   -1);
}

}  // namespace anamnesis::runtime
