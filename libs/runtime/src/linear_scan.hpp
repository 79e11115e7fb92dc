// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// Input of a recurrence in which every channel decays by itself.
/// Shapes: decay, added [B, T, C], state [B, C].
struct LinearScan {
    at::Tensor decay{};
    at::Tensor added{};
    at::Tensor state{};  ///< undefined: zero
};

struct LinearScanResult {
    at::Tensor output{};  ///< [B, T, C], the states after each token
    at::Tensor state{};   ///< [B, C], after the last token
};

/// h_t = decay_t h_(t-1) + added_t. Differentiable.
LinearScanResult run_linear_scan(const LinearScan& input);

/// The same from zero, where LibTorch's operators do the work: pairs of decays and of what is added
/// are joined in a tree of as many levels as doubling takes.
/// Shapes: decay, added [B, T, ...] -> the states after each token.
at::Tensor scan_by_doubling(at::Tensor decay, at::Tensor added);

}  // namespace anamnesis::runtime
