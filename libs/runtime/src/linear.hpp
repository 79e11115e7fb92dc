// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "packed_rows.hpp"

namespace anamnesis::runtime {

struct LowRank;

/// y = x W^T + b, and what an adapter adds.
struct Linear {
    at::Tensor weight{};  ///< [outputs, inputs], in the type it is stored in, or undefined
    at::Tensor bias{};    ///< [outputs] in the type of activations, or undefined
    std::shared_ptr<const LowRank> adapter{};  ///< null: none
    PackedRows packed{};                       ///< in place of `weight`
    /// Where a gradient is recorded and the processor multiplies bfloat16: what meets a bfloat16
    /// weight is rounded to it. Otherwise that weight is widened.
    bool rounds_in_training = false;

    bool is_defined() const { return weight.defined() || packed.is_defined(); }
    std::int64_t inputs() const { return weight.defined() ? weight.size(1) : packed.columns; }
    std::int64_t outputs() const { return weight.defined() ? weight.size(0) : packed.rows(); }
    /// The product with the weight is all there is.
    bool is_product() const { return !bias.defined() && adapter == nullptr; }
    /// Rows [first, first + count) of the outputs.
    Linear narrow(std::int64_t first, std::int64_t count) const;
};

/// What two narrow matrices add to a product: scale * output(input(x)).
/// Source: Hu et al. 2021, "LoRA".
struct LowRank {
    Linear input{}, output{};
    double scale = 1.0;

    bool is_defined() const { return input.is_defined(); }
};

/// The input of one or several matrices; what it is rounded to is kept for the next.
class LinearInput {
public:
    // Any tensor is an input.
    LinearInput(at::Tensor x) : x_(std::move(x)) {}  // NOLINT(google-explicit-constructor)

    const at::Tensor& x() const& noexcept { return x_; }
    /// Its values in this type; where it has another one, no gradient flows through them.
    const at::Tensor& as(at::ScalarType type) const&;

private:
    at::Tensor x_;
    mutable at::Tensor rounded_{};
};

/// Shapes: x [..., inputs] -> [..., outputs], in the type of x.
///
/// Weights narrower than x stay as they are: where the device multiplies their type, x is narrowed
/// to it; elsewhere weights are widened block by block, so that memory does not grow. Packed ones
/// meet a few rows of x as they lie, rounded to 16 bits, and no gradient flows through them.
at::Tensor apply(const Linear& linear, const LinearInput& input);

/// rows + scale * output(input(x)), or the rows alone where there is no such adapter.
at::Tensor add_low_rank(const at::Tensor& rows, const LowRank& adapter, const LinearInput& input);

/// `apply` of several matrices to one input. Where reading them is the work, all are read in one
/// parallel loop. A matrix that is not defined gives an undefined tensor.
void apply_all(const LinearInput& input,
               std::span<const Linear* const> linears,
               std::span<at::Tensor> outputs);

template <class... Linears>
std::array<at::Tensor, sizeof...(Linears)> apply_each(const LinearInput& input,
                                                      const Linears&... linears) {
    const std::array<const Linear*, sizeof...(Linears)> all{&linears...};
    std::array<at::Tensor, sizeof...(Linears)> outputs;
    apply_all(input, all, outputs);
    return outputs;
}

/// x times the weight on a device that multiplies the weight's type, in which x is; without bias
/// and gradients. Shapes: x [..., inputs] -> [..., outputs] in type `type`.
at::Tensor narrow_product(const at::Tensor& weight, const at::Tensor& x, at::ScalarType type);

/// True where apply() rounds this input, of more than a few rows, to bfloat16 and multiplies in it
/// on the CPU. A few rows are rounded without asking. `learns`: a gradient is recorded, of any
/// rows.
bool multiplies_in_bf16(const Linear& linear, const at::Tensor& x, bool learns);

}  // namespace anamnesis::runtime
