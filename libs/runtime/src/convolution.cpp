// SPDX-License-Identifier: Apache-2.0
#include "convolution.hpp"

#include <cstdint>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

namespace anamnesis::runtime {
namespace {

template <class TapOf>
ConvolutionResult convolve_with(const at::Tensor& x,
                                std::int64_t width,
                                const at::Tensor& past,
                                const TapOf& tap_of) {
    const std::int64_t length = x.size(1);
    const at::Tensor before =
        past.defined() ? past : at::zeros({x.size(0), width - 1, x.size(2)}, x.options());
    check_shape(before, {x.size(0), width - 1, x.size(2)}, "past of a convolution");
    const at::Tensor all = at::cat({before, x}, 1);
    at::Tensor y = all.narrow(1, 0, length) * tap_of(0);
    for (std::int64_t w = 1; w < width; ++w) {
        y = y.addcmul(all.narrow(1, w, length), tap_of(w));
    }
    // A copy: the view would keep the whole chunk alive.
    return {.output = y, .past = all.narrow(1, length, width - 1).clone()};
}

}  // namespace

ConvolutionResult convolve(const at::Tensor& x, const at::Tensor& kernel, const at::Tensor& past) {
    check_shape(kernel, {x.size(2), -1}, "kernel of a convolution");
    return convolve_with(
        x, kernel.size(1), past, [&](std::int64_t w) { return kernel.select(1, w); });
}

ConvolutionResult convolve_dynamically(const at::Tensor& x,
                                       const at::Tensor& kernel,
                                       const at::Tensor& past) {
    check_shape(kernel, {x.size(0), x.size(1), x.size(2), -1}, "kernel of a dynamic convolution");
    return convolve_with(
        x, kernel.size(3), past, [&](std::int64_t w) { return kernel.select(3, w); });
}

}  // namespace anamnesis::runtime
