// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::runtime {

/// Token ids as one row: [1, T].
inline at::Tensor to_token_row(std::span<const language::TokenId> tokens) {
    const std::vector<std::int64_t> ids(tokens.begin(), tokens.end());
    return at::tensor(ids, at::kLong).unsqueeze(0);
}

/// Logits on the host as float32: [rows, vocabulary].
class HostLogits {
public:
    explicit HostLogits(const at::Tensor& logits)
        : values_(logits.to(at::kCPU, at::kFloat).contiguous()) {}

    std::span<const float> row(std::size_t index) const& {
        const auto width = static_cast<std::size_t>(values_.size(1));
        return {values_.const_data_ptr<float>() + index * width, width};
    }
    std::span<const float> row(std::size_t index) const&& = delete;

private:
    at::Tensor values_;
};

}  // namespace anamnesis::runtime
