// SPDX-License-Identifier: Apache-2.0
#include "fast_product.hpp"

#include <optional>
#include <string_view>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/mm.h>
#include <c10/core/Scalar.h>

namespace anamnesis::runtime {
namespace {

using Product = at::Tensor(const at::Tensor& x,
                           const at::Tensor& weight,
                           const std::optional<at::Tensor>& bias,
                           std::string_view attribute,
                           c10::List<std::optional<at::Scalar>> scalars,
                           std::optional<std::string_view> algorithm);

/// The operator that LibTorch's own compiler calls; absent in builds without oneDNN.
const std::optional<c10::TypedOperatorHandle<Product>>& library_product() {
    static const std::optional<c10::TypedOperatorHandle<Product>> found =
        []() -> std::optional<c10::TypedOperatorHandle<Product>> {
        const auto handle =
            c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
        if (!handle || !handle->hasKernelForDispatchKey(c10::DispatchKey::CPU)) {
            return std::nullopt;
        }
        return handle->typed<Product>();
    }();
    return found;
}

/// Below this the library's preparation costs more than its products gain.
constexpr std::int64_t few_products = 1 << 16;

}  // namespace

at::Tensor fast_product(const at::Tensor& x, const at::Tensor& weight) {
    if (x.scalar_type() == at::kFloat && x.numel() * weight.size(0) > few_products &&
        library_product()) {
        return library_product()->call(
            x, weight, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
    }
    return at::mm(x, weight.t());
}

}  // namespace anamnesis::runtime
