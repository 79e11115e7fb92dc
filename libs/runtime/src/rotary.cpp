// SPDX-License-Identifier: Apache-2.0
#include "rotary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "cpu_kernels.hpp"
#include "differentiable.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

at::Tensor positions_from(std::span<const std::int64_t> starts,
                          std::int64_t length,
                          at::Device device) {
    const auto options = at::TensorOptions().dtype(at::kLong).device(device);
    if (std::ranges::all_of(starts, [&](std::int64_t start) { return start == starts.front(); })) {
        return at::arange(starts.front(), starts.front() + length, options).unsqueeze(0);
    }
    return at::tensor(starts, at::kLong).to(device).unsqueeze(1) +
           at::arange(length, options).unsqueeze(0);
}

at::Tensor make_frequencies(const RotarySpec& rotary, const at::TensorOptions& options) {
    return at::tensor(rotary.frequencies, at::kDouble).to(options);
}

RotaryTables make_tables(const at::Tensor& positions,
                         const at::Tensor& frequencies,
                         double magnitude) {
    const at::Tensor angles = positions.to(frequencies.scalar_type()).unsqueeze(2) * frequencies;
    RotaryTables tables{.cosine = at::cos(angles) * magnitude, .sine = at::sin(angles) * magnitude};
    if (!angles.is_cpu()) {
        tables.both_cosines = at::cat({tables.cosine, tables.cosine}, -1).unsqueeze(2);
        tables.both_sines = at::cat({-tables.sine, tables.sine}, -1).unsqueeze(2);
    }
    return tables;
}

namespace {

/// On a device, in as few operators as there are.
at::Tensor rotate_both_halves(const at::Tensor& x, const RotaryTables& tables) {
    const std::int64_t pairs = tables.cosine.size(-1);
    const std::int64_t rest = x.size(-1) - 2 * pairs;
    const at::Tensor turned = x.narrow(-1, 0, 2 * pairs);
    const at::Tensor y =
        (turned * tables.both_cosines).addcmul_(at::roll(turned, pairs, -1), tables.both_sines);
    return rest == 0 ? y : at::cat({y, x.narrow(-1, 2 * pairs, rest)}, -1);
}

}  // namespace

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
    if (tables.both_cosines.defined() && !records_gradients(x)) {
        return rotate_both_halves(x, tables);
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

at::Tensor rotate_neighbours(const at::Tensor& x, const RotaryTables& tables) {
    const at::Tensor cosine = tables.cosine.unsqueeze(2);
    const at::Tensor sine = tables.sine.unsqueeze(2);
    const at::Tensor pairs = x.unflatten(-1, {-1, 2});
    const at::Tensor first = pairs.select(-1, 0);
    const at::Tensor second = pairs.select(-1, 1);
    return at::stack({first * cosine - second * sine, second * cosine + first * sine}, -1)
        .flatten(-2);
}

}  // namespace anamnesis::runtime
