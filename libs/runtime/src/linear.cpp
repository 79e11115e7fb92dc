// SPDX-License-Identifier: Apache-2.0
#include "linear.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "cpu_kernels.hpp"
#include "differentiable.hpp"

namespace anamnesis::runtime {
namespace {

/// Elements of a widened block: small enough to stay in the cache for the product that follows.
constexpr std::int64_t block_elements = 1 << 20;

template <class Weight>
void product_by_rows(const Weight* weight, const cpu::FewRows& product) {
    const auto outputs = static_cast<std::int64_t>(product.outputs);
    const auto inputs = static_cast<std::int64_t>(product.inputs);
    const std::int64_t grain =
        std::max<std::int64_t>(1, (1 << 15) / std::max<std::int64_t>(inputs, 1));
    at::parallel_for(0, outputs, grain, [&](std::int64_t begin, std::int64_t end) {
        cpu::product(
            weight, product, static_cast<std::size_t>(begin), static_cast<std::size_t>(end));
    });
}

/// A few rows: reading the weights is the work, so they are read once and as they lie.
at::Tensor product_of_few(const at::Tensor& weight, const at::Tensor& x) {
    at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
    const cpu::FewRows product{.x = x.const_data_ptr<float>(),
                               .rows = static_cast<std::size_t>(x.size(0)),
                               .inputs = static_cast<std::size_t>(x.size(1)),
                               .outputs = static_cast<std::size_t>(weight.size(0)),
                               .y = y.mutable_data_ptr<float>()};
    if (weight.scalar_type() == at::kFloat) {
        product_by_rows(weight.const_data_ptr<float>(), product);
    } else {
        product_by_rows(static_cast<const cpu::Bf16*>(weight.const_data_ptr()), product);
    }
    return y;
}

/// Widens rows of a weight into `block`.
void widen_rows(const at::Tensor& rows, at::Tensor& block) {
    if (rows.scalar_type() != at::kBFloat16) {
        block.copy_(rows);
        return;
    }
    const auto* source = static_cast<const cpu::Bf16*>(rows.const_data_ptr());
    auto* target = block.mutable_data_ptr<float>();
    at::parallel_for(0, rows.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
        cpu::widen(source + begin, target + begin, static_cast<std::size_t>(end - begin));
    });
}

at::Tensor product_by_blocks(const at::Tensor& weight, const at::Tensor& x) {
    const std::int64_t outputs = weight.size(0);
    const std::int64_t step = std::clamp<std::int64_t>(
        block_elements / std::max<std::int64_t>(weight.size(1), 1), 1, outputs);
    at::Tensor y = at::empty({x.size(0), outputs}, x.options());
    at::Tensor block = at::empty({step, weight.size(1)}, x.options());
    for (std::int64_t first = 0; first < outputs; first += step) {
        const std::int64_t count = std::min(step, outputs - first);
        at::Tensor widened = block.narrow(0, 0, count);
        widen_rows(weight.narrow(0, first, count), widened);
        at::Tensor target = y.narrow(1, first, count);
        at::mm_out(target, x, widened.t());
    }
    return y;
}

bool has_few_rows(const at::Tensor& weight, const at::Tensor& rows) {
    return rows.size(0) <= static_cast<std::int64_t>(cpu::most_few_rows) &&
           rows.scalar_type() == at::kFloat && weight.is_contiguous() &&
           (weight.scalar_type() == at::kBFloat16 || weight.scalar_type() == at::kFloat);
}

at::Tensor product_on_cpu(const at::Tensor& weight, const at::Tensor& x) {
    std::vector<std::int64_t> sizes = x.sizes().vec();
    const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
    sizes.back() = weight.size(0);
    return (has_few_rows(weight, rows) ? product_of_few(weight, rows)
                                       : product_by_blocks(weight, rows))
        .view(sizes);
}

bool needs_gradient(const Linear& linear, const at::Tensor& x) {
    return at::GradMode::is_enabled() && (x.requires_grad() || linear.weight.requires_grad());
}

bool has_many_rows(const at::Tensor& x) {
    return x.numel() > static_cast<std::int64_t>(cpu::most_few_rows) * x.size(-1);
}

}  // namespace

const at::Tensor& LinearInput::as(at::ScalarType type) const& {
    if (x_.scalar_type() == type) {
        return x_;
    }
    if (!rounded_.defined() || rounded_.scalar_type() != type) {
        rounded_ = x_.to(type);
    }
    return rounded_;
}

bool multiplies_in_bf16(const Linear& linear, const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat &&
           linear.weight.scalar_type() == at::kBFloat16 && cpu::has_bf16_products() &&
           has_many_rows(x) && !needs_gradient(linear, x);
}

at::Tensor apply(const Linear& linear, const LinearInput& input) {
    const at::Tensor& weight = linear.weight;
    const at::Tensor& x = input.x();
    const bool is_same_type = weight.scalar_type() == x.scalar_type();
    const bool reads_once = x.is_cpu() && x.scalar_type() == at::kFloat && !has_many_rows(x);
    if (needs_gradient(linear, x) && has_many_rows(x) && differentiable::applies_to(x)) {
        return differentiable::linear(x, weight.to(x.scalar_type()), linear.bias);
    }
    if (needs_gradient(linear, x) || (is_same_type && !reads_once)) {
        return at::linear(x, weight.to(x.scalar_type()), linear.bias);
    }
    at::Tensor y;
    if (!x.is_cpu() || multiplies_in_bf16(linear, x)) {
        y = at::linear(input.as(weight.scalar_type()), weight).to(x.scalar_type());
    } else {
        y = product_on_cpu(weight, x);
    }
    return linear.bias.defined() ? y.add_(linear.bias) : y;
}

}  // namespace anamnesis::runtime
