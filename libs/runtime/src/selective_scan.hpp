// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// Input of Mamba-1's recurrence.
///
/// Shapes: x, step [B, T, I], b, c [B, T, N], log_rate [I, N], skip [I], state [B, I, N]. Units: a
/// step is positive; rates are logarithms.
struct SelectiveScan {
    at::Tensor x{};
    at::Tensor step{};
    at::Tensor b{};
    at::Tensor c{};
    at::Tensor log_rate{};  ///< A_log
    at::Tensor skip{};      ///< D
    at::Tensor state{};     ///< undefined: zero
};

struct SelectiveScanResult {
    at::Tensor output{};  ///< [B, T, I]
    at::Tensor state{};   ///< [B, I, N], after the last token
};

/// For each channel i and state n
///
///     S_in = exp(-step_ti e^log_rate_in) S_in + step_ti x_ti b_tn,   y_ti = sum_n S_in c_tn +
///     skip_i x_ti
///
/// Differentiable.
/// Source: Gu & Dao 2023, "Mamba", section 3.
SelectiveScanResult run_selective_scan(const SelectiveScan& input);

}  // namespace anamnesis::runtime
