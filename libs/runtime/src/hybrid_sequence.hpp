// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

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

}  // namespace anamnesis::runtime
