// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::runtime {

/// The state of one text. Sampled tokens are read by the next call that needs their effect, so
/// that an answer's last token costs nothing where nobody goes on.
class HybridSequence final : public language::Sequence {
public:
    HybridSequence(const void* owner, NetworkState state)
        : owner_(owner), state_(std::move(state)) {}

    std::size_t length() const override {
        return static_cast<std::size_t>(state_.length()) + pending_.size();
    }

    std::unique_ptr<language::Sequence> fork() const override {
        return convert_torch_errors([&] { return std::make_unique<HybridSequence>(*this); });
    }

    const void* owner() const { return owner_; }
    NetworkState& state() { return state_; }
    const NetworkState& state() const { return state_; }
    std::vector<language::TokenId>& pending() { return pending_; }
    /// The final norm's output for the last token read; [1, d]. Undefined before the first.
    at::Tensor& last_hidden() { return last_hidden_; }

private:
    const void* owner_;
    NetworkState state_;
    std::vector<language::TokenId> pending_;
    at::Tensor last_hidden_;
};

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
