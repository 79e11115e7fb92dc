// SPDX-License-Identifier: Apache-2.0
#include "convolution.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {
namespace {

template <class Tap>
ConvolutionResult convolve_with(const at::Tensor& x,
                                std::int64_t width,
                                const at::Tensor& past,
                                const Tap& tap) {
    const std::int64_t length = x.size(1);
    const at::Tensor before =
        past.defined() ? past : at::zeros({x.size(0), width - 1, x.size(2)}, x.options());
    check_shape(before, {x.size(0), width - 1, x.size(2)}, "past of a convolution");
    const at::Tensor all = at::cat({before, x}, 1);
    at::Tensor y = all.narrow(1, 0, length) * tap(0);
    for (std::int64_t w = 1; w < width; ++w) {
        y = y.addcmul(all.narrow(1, w, length), tap(w));
    }
    // A copy: the view would keep the whole chunk alive.
    return {.output = y, .past = all.narrow(1, length, width - 1).clone()};
}

bool runs_in_kernel(const at::Tensor& x,
                    const at::Tensor& kernel,
                    const at::Tensor& past,
                    const at::Tensor& bias) {
    const auto asks = [](const at::Tensor& one) { return one.defined() && records_gradients(one); };
    return x.is_cpu() && x.scalar_type() == at::kFloat && !asks(x) && !asks(kernel) &&
           !asks(past) && !asks(bias);
}

/// Without a copy of what came before and what comes now side by side.
ConvolutionResult convolve_in_kernel(const at::Tensor& input,
                                     const at::Tensor& kernel,
                                     const at::Tensor& past,
                                     const at::Tensor& bias) {
    const std::int64_t length = input.size(1);
    const std::int64_t channels = input.size(2);
    const std::int64_t taps = kernel.size(1);
    const at::Tensor x = input.contiguous();
    const at::Tensor weights = kernel.t().contiguous();
    const at::Tensor added = bias.defined() ? bias.contiguous() : bias;
    const at::Tensor before = past.defined()
                                  ? past.contiguous()
                                  : at::zeros({x.size(0), taps - 1, channels}, x.options());
    check_shape(before, {x.size(0), taps - 1, channels}, "past of a convolution");
    at::Tensor y = at::empty_like(x);
    at::Tensor last = at::empty_like(before);
    // Row t of a text; those before its first token come from the past.
    const auto row = [&](std::int64_t text, std::int64_t t) {
        return t < 0
                   ? before.const_data_ptr<float>() + (text * (taps - 1) + taps - 1 + t) * channels
                   : x.const_data_ptr<float>() + (text * length + t) * channels;
    };
    at::parallel_for(0, x.size(0) * length, 8, [&](std::int64_t begin, std::int64_t end) {
        std::vector<const float*> inputs(static_cast<std::size_t>(taps));
        for (std::int64_t i = begin; i < end; ++i) {
            for (std::int64_t w = 0; w < taps; ++w) {
                inputs[static_cast<std::size_t>(w)] = row(i / length, i % length - taps + 1 + w);
            }
            cpu::convolve(inputs.data(),
                          weights.const_data_ptr<float>(),
                          added.defined() ? added.const_data_ptr<float>() : nullptr,
                          y.mutable_data_ptr<float>() + i * channels,
                          static_cast<std::size_t>(taps),
                          static_cast<std::size_t>(channels));
        }
    });
    for (std::int64_t text = 0; text < x.size(0); ++text) {
        for (std::int64_t w = 0; w < taps - 1; ++w) {
            std::copy_n(row(text, length - taps + 1 + w),
                        channels,
                        last.mutable_data_ptr<float>() + (text * (taps - 1) + w) * channels);
        }
    }
    return {.output = y, .past = last};
}

}  // namespace

ConvolutionResult convolve(const at::Tensor& x,
                           const at::Tensor& kernel,
                           const at::Tensor& past,
                           const at::Tensor& bias) {
    check_shape(kernel, {x.size(2), -1}, "kernel of a convolution");
    if (runs_in_kernel(x, kernel, past, bias)) {
        return convolve_in_kernel(x, kernel, past, bias);
    }
    ConvolutionResult result =
        convolve_with(x, kernel.size(1), past, [&](std::int64_t w) { return kernel.select(1, w); });
    if (bias.defined()) {
        result.output = result.output + bias;
    }
    return result;
}

ConvolutionResult convolve_dynamically(const at::Tensor& x,
                                       const at::Tensor& kernel,
                                       const at::Tensor& past) {
    check_shape(kernel, {x.size(0), x.size(1), x.size(2), -1}, "kernel of a dynamic convolution");
    return convolve_with(
        x, kernel.size(3), past, [&](std::int64_t w) { return kernel.select(3, w); });
}

}  // namespace anamnesis::runtime
