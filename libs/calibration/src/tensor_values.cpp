// SPDX-License-Identifier: Apache-2.0
#include "tensor_values.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/empty.h>

#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::calibration {

at::Tensor read_values(const checkpoint::TensorEntry& entry) {
    std::vector<std::byte> bytes(entry.bytes);
    entry.read_at(0, bytes);
    at::Tensor values =
        at::empty(std::vector<std::int64_t>(entry.shape.begin(), entry.shape.end()), at::kDouble);
    widen(entry.dtype,
          bytes,
          std::span(values.mutable_data_ptr<double>(), static_cast<std::size_t>(values.numel())));
    return values;
}

}  // namespace anamnesis::calibration
