// SPDX-License-Identifier: Apache-2.0
#include "norm.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <variant>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "cpu_kernels.hpp"
#include "differentiable.hpp"

namespace anamnesis::runtime {
namespace {

bool runs_in_kernel(const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat && !records_gradients(x);
}

/// A device's own kernel for what would be several.
bool runs_in_one_operator(const at::Tensor& x) {
    return !x.is_cpu() && !records_gradients(x);
}

}  // namespace

bool records_gradients(const at::Tensor& x) {
    return at::GradMode::is_enabled() && x.requires_grad();
}

at::Tensor apply(const RmsNorm& norm, const at::Tensor& x) {
    if (runs_in_kernel(x) && !records_gradients(norm.gain)) {
        const at::Tensor source = x.contiguous();
        at::Tensor y = at::empty_like(source);
        const std::int64_t width = x.size(-1);
        const cpu::Norm kernel{.gain = norm.gain.const_data_ptr<float>(),
                               .offset = norm.is_offset ? 1.0F : 0.0F,
                               .eps = static_cast<float>(norm.eps),
                               .columns = static_cast<std::size_t>(width)};
        at::parallel_for(
            0, x.numel() / width, 1 + (1 << 14) / width, [&](std::int64_t begin, std::int64_t end) {
                cpu::rms_norm(source.const_data_ptr<float>() + begin * width,
                              kernel,
                              y.mutable_data_ptr<float>() + begin * width,
                              static_cast<std::size_t>(end - begin));
            });
        return y;
    }
    const at::Tensor gain = norm.is_offset ? norm.gain + 1.0 : norm.gain;
    if (runs_in_one_operator(x) && !records_gradients(norm.gain)) {
        return at::rms_norm(x, {x.size(-1)}, gain, norm.eps);
    }
    if (differentiable::applies_to(x, gain)) {
        return differentiable::rms_norm(x, gain, norm.eps);
    }
    return gain * (x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + norm.eps));
}

at::Tensor apply_in_groups(const RmsNorm& norm, const at::Tensor& x, std::int64_t groups) {
    if (groups == 1) {
        return apply(norm, x);
    }
    const std::int64_t width = x.size(-1) / groups;
    const RmsNorm plain{.gain = at::ones({width}, norm.gain.options().requires_grad(false)),
                        .eps = norm.eps};
    const at::Tensor gain = norm.is_offset ? norm.gain + 1.0 : norm.gain;
    return apply(plain, x.unflatten(-1, {groups, width})).flatten(-2) * gain;
}

at::Tensor apply(const LayerNorm& norm, const at::Tensor& x) {
    return at::layer_norm(x, {x.size(-1)}, norm.gain, norm.bias, norm.eps);
}

at::Tensor normalise(const Norm& norm, const at::Tensor& x) {
    return std::visit([&](const auto& one) { return apply(one, x); }, norm);
}

at::Tensor l2_normalised(const at::Tensor& x) {
    constexpr double eps = 1e-6;
    if (runs_in_kernel(x) || runs_in_one_operator(x) || differentiable::applies_to(x, x)) {
        // sum + eps is width times mean + eps / width.
        const auto width = static_cast<double>(x.size(-1));
        return apply(RmsNorm{.gain = at::full({x.size(-1)}, 1.0 / std::sqrt(width), x.options()),
                             .eps = eps / width},
                     x);
    }
    return x * at::rsqrt(x.square().sum(-1, /*keepdim=*/true) + eps);
}

at::Tensor swiglu(at::Tensor gate, const at::Tensor& up) {
    const bool is_plain = gate.is_cpu() && !records_gradients(gate) && !records_gradients(up) &&
                          gate.is_contiguous() && up.is_contiguous();
    if (is_plain && gate.scalar_type() == at::kBFloat16) {
        at::parallel_for(0, gate.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
            cpu::swiglu(static_cast<cpu::Bf16*>(gate.mutable_data_ptr()) + begin,
                        static_cast<const cpu::Bf16*>(up.const_data_ptr()) + begin,
                        static_cast<std::size_t>(end - begin));
        });
        return gate;
    }
    if (is_plain && gate.scalar_type() == at::kFloat) {
        at::parallel_for(0, gate.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
            cpu::swiglu(gate.mutable_data_ptr<float>() + begin,
                        up.const_data_ptr<float>() + begin,
                        static_cast<std::size_t>(end - begin));
        });
        return gate;
    }
    if (differentiable::applies_to(gate, up) && gate.sizes() == up.sizes()) {
        return differentiable::swiglu(gate, up);
    }
    if (!gate.is_cpu() && !records_gradients(gate) && !records_gradients(up)) {
        return at::silu_(gate).mul_(up);
    }
    return at::silu(gate) * up;
}

at::Tensor activated(at::Tensor x) {
    if (runs_in_kernel(x) && x.is_contiguous()) {
        at::parallel_for(0, x.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
            cpu::silu(x.mutable_data_ptr<float>() + begin, static_cast<std::size_t>(end - begin));
        });
        return x;
    }
    return at::silu(x);
}

at::Tensor gated(const at::Tensor& y, const at::Tensor& gate) {
    if (differentiable::applies_to(y, gate) && y.sizes() == gate.sizes()) {
        return differentiable::gated(y, gate);
    }
    return y * at::sigmoid(gate);
}

}  // namespace anamnesis::runtime
