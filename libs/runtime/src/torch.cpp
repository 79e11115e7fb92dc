// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/torch.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::runtime {
namespace {

constexpr std::array table{
    std::pair{DType::f64, at::kDouble},
    std::pair{DType::f32, at::kFloat},
    std::pair{DType::f16, at::kHalf},
    std::pair{DType::bf16, at::kBFloat16},
    std::pair{DType::i64, at::kLong},
    std::pair{DType::i32, at::kInt},
    std::pair{DType::u8, at::kByte},
};

}  // namespace

at::ScalarType to_scalar_type(DType dtype) {
    for (const auto& [ours, theirs] : table) {
        if (ours == dtype) {
            return theirs;
        }
    }
    throw Error(
        ErrorKind::unsupported,
        format("models do not run on weights of type {}; F32, BF16 and F16 do", to_string(dtype)));
}

DType to_dtype(at::ScalarType type) {
    for (const auto& [ours, theirs] : table) {
        if (theirs == type) {
            return ours;
        }
    }
    throw Error(ErrorKind::unsupported,
                format("safetensors has no name for tensors of type {}", c10::toString(type)));
}

void check_shape(const at::Tensor& tensor, at::IntArrayRef expected, const char* what) {
    bool fits = tensor.dim() == static_cast<std::int64_t>(expected.size());
    for (std::size_t i = 0; fits && i < expected.size(); ++i) {
        fits = expected[i] < 0 || tensor.size(static_cast<std::int64_t>(i)) == expected[i];
    }
    if (!fits) {
        const auto text = [](at::IntArrayRef sizes) {
            std::string joined;
            for (const std::int64_t size : sizes) {
                joined += format("{}{}", joined.empty() ? "" : ", ", size);
            }
            return "[" + joined + "]";
        };
        throw Error(
            ErrorKind::internal,
            format("{} has shape {}, expected {}", what, text(tensor.sizes()), text(expected)));
    }
}

}  // namespace anamnesis::runtime
