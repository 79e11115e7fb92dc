// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <variant>

namespace anamnesis::runtime {

/// Root-mean-square normalisation over the last dimension.
/// Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization".
struct RmsNorm {
    at::Tensor gain{};  ///< [width]; undefined: no norm
    double eps = 1e-6;
    bool is_offset = false;  ///< the factor is 1 + gain

    bool is_defined() const { return gain.defined(); }
};

/// Shapes: x [..., width] -> the same.
at::Tensor apply(const RmsNorm& norm, const at::Tensor& x);

/// The same where `groups` of neighbours are normalised each by itself.
at::Tensor apply_in_groups(const RmsNorm& norm, const at::Tensor& x, std::int64_t groups);

/// Normalisation to mean 0 and variance 1 over the last dimension.
/// Source: Ba et al. 2016, "Layer Normalization".
struct LayerNorm {
    at::Tensor gain{};  ///< [width]
    at::Tensor bias{};  ///< [width]
    double eps = 1e-5;
};

/// Shapes: x [..., width] -> the same.
at::Tensor apply(const LayerNorm& norm, const at::Tensor& x);

/// A norm of the residual stream.
using Norm = std::variant<RmsNorm, LayerNorm>;

/// Shapes: x [..., width] -> the same.
at::Tensor normalise(const Norm& norm, const at::Tensor& x);

/// x / sqrt(sum of squares + 1e-6) over the last dimension.
at::Tensor l2_normalised(const at::Tensor& x);

/// silu(gate) * up. `gate` may be overwritten where no gradient is asked for.
at::Tensor swiglu(at::Tensor gate, const at::Tensor& up);

/// silu(x). x may be overwritten where no gradient is asked for.
at::Tensor activated(at::Tensor x);

/// y * sigmoid(gate).
at::Tensor gated(const at::Tensor& y, const at::Tensor& gate);

/// True where gradients may be asked for, so that nothing is written in place.
bool records_gradients(const at::Tensor& x);

}  // namespace anamnesis::runtime
