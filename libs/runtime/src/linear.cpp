// SPDX-License-Identifier: Apache-2.0
#include "linear.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "anamnesis/base/check.hpp"

#include "bf16_linear.hpp"
#include "cpu_kernels.hpp"
#include "cpu_packed.hpp"
#include "differentiable.hpp"
#include "fast_product.hpp"

namespace anamnesis::runtime {
namespace {

/// Elements of a widened block: small enough to stay in the cache for the product that follows.
constexpr std::int64_t block_elements = 1 << 20;
/// Of an unpacked block, which many rows meet: results of several blocks are copied once more.
constexpr std::int64_t unpacked_elements = 1 << 22;

bool has_few_rows(const at::Tensor& x, std::size_t most = cpu::most_few_rows) {
    return x.numel() <= static_cast<std::int64_t>(most) * x.size(-1);
}

/// True where reading the weights is the work: they are read once and as they lie.
bool reads_once(const at::Tensor& weight, const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat && has_few_rows(x) &&
           weight.is_contiguous() &&
           (weight.scalar_type() == at::kBFloat16 || weight.scalar_type() == at::kFloat);
}

/// True in the trainer's passes, also of what does not learn: a text has the same values in a row
/// of several as by itself.
bool rounds_to_learn(const Linear& linear, const at::Tensor& x) {
    return at::GradMode::is_enabled() && multiplies_in_bf16(linear, x, true);
}

bool reads_once(const Linear& linear, const at::Tensor& x) {
    return linear.packed.is_defined() ? has_few_rows(x, cpu::most_packed_rows)
                                      : reads_once(linear.weight, x) && !rounds_to_learn(linear, x);
}

std::vector<std::int64_t> output_sizes(std::int64_t outputs, const at::Tensor& x) {
    std::vector<std::int64_t> sizes = x.sizes().vec();
    sizes.back() = outputs;
    return sizes;
}

/// A few rows times one of several matrices.
struct FewRowsProduct {
    const Linear* linear = nullptr;
    cpu::FewRows shape{};
    const cpu::RoundedRows* rounded = nullptr;  ///< the rows for a packed matrix
    const cpu::Bf16* narrow = nullptr;  ///< the rows for one of bfloat16, where it is multiplied

    void compute(std::int64_t begin, std::int64_t end) const {
        const auto first = static_cast<std::size_t>(begin);
        const auto last = static_cast<std::size_t>(end);
        const at::Tensor& weight = linear->weight;
        if (rounded != nullptr) {
            cpu::product(to_matrix(linear->packed), *rounded, shape.y, shape.outputs, first, last);
        } else if (weight.scalar_type() == at::kFloat) {
            cpu::product(weight.const_data_ptr<float>(), shape, first, last);
        } else if (const auto* values = static_cast<const cpu::Bf16*>(weight.const_data_ptr());
                   narrow != nullptr) {
            cpu::product(values, narrow, shape, first, last);
        } else {
            cpu::product(values, shape, first, last);
        }
    }
};

/// The outputs of all matrices count through; each thread takes a stretch of them.
void compute(std::span<const FewRowsProduct> products, std::int64_t inputs) {
    std::int64_t all = 0;
    for (const FewRowsProduct& product : products) {
        all += static_cast<std::int64_t>(product.shape.outputs);
    }
    const std::int64_t grain =
        std::max<std::int64_t>(1, (1 << 15) / std::max<std::int64_t>(inputs, 1));
    at::parallel_for(0, all, grain, [&](std::int64_t begin, std::int64_t end) {
        std::int64_t before = 0;
        for (const FewRowsProduct& product : products) {
            const auto outputs = static_cast<std::int64_t>(product.shape.outputs);
            const std::int64_t first = std::max<std::int64_t>(begin - before, 0);
            const std::int64_t last = std::min(end - before, outputs);
            if (first < last) {
                product.compute(first, last);
            }
            before += outputs;
        }
    });
}

/// Widens rows of a weight into `block`.
void widen_rows(const at::Tensor& rows, at::Tensor& block) {
    if (rows.scalar_type() != at::kBFloat16 || !rows.is_contiguous()) {
        block.copy_(rows);
        return;
    }
    const auto* source = static_cast<const cpu::Bf16*>(rows.const_data_ptr());
    auto* target = block.mutable_data_ptr<float>();
    at::parallel_for(0, rows.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
        cpu::widen(source + begin, target + begin, static_cast<std::size_t>(end - begin));
    });
}

at::Tensor product_by_blocks(const at::Tensor& weight, const at::Tensor& x) {
    const std::int64_t outputs = weight.size(0);
    const std::int64_t step = std::clamp<std::int64_t>(
        block_elements / std::max<std::int64_t>(weight.size(1), 1), 1, outputs);
    at::Tensor y = at::empty({x.size(0), outputs}, x.options());
    at::Tensor block = at::empty({step, weight.size(1)}, x.options());
    for (std::int64_t first = 0; first < outputs; first += step) {
        const std::int64_t count = std::min(step, outputs - first);
        at::Tensor widened = block.narrow(0, 0, count);
        widen_rows(weight.narrow(0, first, count), widened);
        at::Tensor target = y.narrow(1, first, count);
        at::mm_out(target, x, widened.t());
    }
    return y;
}

/// Packed rows are unpacked block by block: into bfloat16 where the processor multiplies it.
at::Tensor product_by_blocks(const PackedRows& packed, const LinearInput& input) {
    const at::Tensor& x = input.x();
    const bool is_narrow = cpu::has_bf16_products() && x.scalar_type() == at::kFloat;
    const at::Tensor rows = (is_narrow ? input.as(at::kBFloat16) : x).reshape({-1, x.size(-1)});
    const std::int64_t outputs = packed.rows();
    const std::int64_t step =
        std::clamp<std::int64_t>(unpacked_elements / packed.columns, 1, outputs);
    at::Tensor block = at::empty({step, packed.columns}, is_narrow ? at::kBFloat16 : at::kFloat);
    const auto multiply = [&](const PackedRows& some, at::Tensor& values) {
        unpack(some, values);
        return is_narrow ? narrow_product(values, rows, at::kFloat)
                         : fast_product(rows.to(at::kFloat), values);
    };
    if (step == outputs) {
        return multiply(packed, block).to(x.scalar_type()).view(output_sizes(outputs, x));
    }
    at::Tensor y = at::empty({rows.size(0), outputs}, x.options());
    for (std::int64_t first = 0; first < outputs; first += step) {
        const std::int64_t count = std::min(step, outputs - first);
        at::Tensor part = block.narrow(0, 0, count);
        y.narrow(1, first, count).copy_(multiply(packed.narrow(first, count), part));
    }
    return y.view(output_sizes(outputs, x));
}

bool needs_gradient(const Linear& linear, const at::Tensor& x) {
    return at::GradMode::is_enabled() && linear.weight.defined() &&
           (x.requires_grad() || linear.weight.requires_grad());
}

/// With its bias only where gradients flow.
at::Tensor apply_to_many(const Linear& linear, const LinearInput& input) {
    const at::Tensor& weight = linear.weight;
    const at::Tensor& x = input.x();
    if (linear.packed.is_defined()) {
        return product_by_blocks(linear.packed, input);
    }
    const bool rounds = rounds_to_learn(linear, x);
    if (rounds ||
        (needs_gradient(linear, x) && !has_few_rows(x) && differentiable::applies_to(x))) {
        return differentiable::linear(
            {.x = x, .factor = rounds ? input.as(at::kBFloat16) : x.detach()}, weight, linear.bias);
    }
    if (needs_gradient(linear, x)) {
        return at::linear(x, weight.to(x.scalar_type()), linear.bias);
    }
    if (weight.scalar_type() == x.scalar_type()) {
        return x.is_cpu() && x.scalar_type() == at::kFloat
                   ? fast_product(x.reshape({-1, x.size(-1)}), weight)
                         .view(output_sizes(weight.size(0), x))
                   : at::linear(x, weight);
    }
    if (!x.is_cpu() || multiplies_in_bf16(linear, x, false)) {
        return narrow_product(weight, input.as(weight.scalar_type()), x.scalar_type());
    }
    const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
    return product_by_blocks(weight, rows).view(output_sizes(weight.size(0), x));
}

}  // namespace

const at::Tensor& LinearInput::as(at::ScalarType type) const& {
    if (x_.scalar_type() == type) {
        return x_;
    }
    if (!rounded_.defined() || rounded_.scalar_type() != type) {
        rounded_ = x_.detach().to(type);
    }
    return rounded_;
}

at::Tensor narrow_product(const at::Tensor& weight, const at::Tensor& x, at::ScalarType type) {
    if (has_bf16_panels(x, weight)) {
        return panel_product(x, weight).to(type);
    }
    if (!x.is_cuda() || type != at::kFloat || x.scalar_type() == type) {
        return at::linear(x, weight).to(type);
    }
    // CUDA's products sum in float32 and may leave it so.
    return at::mm(x.reshape({-1, x.size(-1)}), weight.t(), type)
        .view(output_sizes(weight.size(0), x));
}

bool multiplies_in_bf16(const Linear& linear, const at::Tensor& x, bool learns) {
    return x.is_cpu() && x.scalar_type() == at::kFloat && linear.weight.defined() &&
           linear.weight.scalar_type() == at::kBFloat16 && cpu::has_bf16_products() &&
           (learns ? linear.rounds_in_training : !has_few_rows(x));
}

at::Tensor apply(const Linear& linear, const LinearInput& input) {
    return apply_each(input, linear).front();
}

Linear Linear::narrow(std::int64_t first, std::int64_t count) const {
    Linear part{.weight = weight.defined() ? weight.narrow(0, first, count) : at::Tensor(),
                .bias = bias.defined() ? bias.narrow(0, first, count) : at::Tensor(),
                .rounds_in_training = rounds_in_training};
    if (packed.is_defined()) {
        part.packed = packed.narrow(first, count);
    }
    if (adapter != nullptr) {
        part.adapter =
            std::make_shared<const LowRank>(LowRank{.input = adapter->input,
                                                    .output = adapter->output.narrow(first, count),
                                                    .scale = adapter->scale});
    }
    return part;
}

at::Tensor add_low_rank(const at::Tensor& rows, const LowRank& adapter, const LinearInput& input) {
    if (!adapter.is_defined()) {
        return rows;
    }
    const at::Tensor added = apply(adapter.output, apply(adapter.input, input));
    return adapter.scale == 1.0 ? rows + added : rows + added * adapter.scale;
}

void apply_all(const LinearInput& input,
               std::span<const Linear* const> linears,
               std::span<at::Tensor> outputs) {
    const at::Tensor& x = input.x();
    const at::Tensor rows = has_few_rows(x, cpu::most_packed_rows) ? x.contiguous() : x;
    std::optional<cpu::RoundedRows> rounded;
    std::vector<cpu::Bf16> narrow;
    std::vector<FewRowsProduct> products;
    for (std::size_t i = 0; i < linears.size(); ++i) {
        const Linear& linear = *linears[i];
        if (!linear.is_defined()) {
            continue;
        }
        const bool is_packed = linear.packed.is_defined();
        ANAMNESIS_CHECK(!is_packed || !at::GradMode::is_enabled() || !x.requires_grad(),
                        "no gradient flows through a packed matrix");
        if (needs_gradient(linear, x) || !reads_once(linear, x)) {
            outputs[i] = apply_to_many(linear, input);
            continue;
        }
        const auto row_count = static_cast<std::size_t>(x.numel() / x.size(-1));
        if (is_packed && !rounded) {
            rounded = cpu::round_rows(
                std::span(rows.const_data_ptr<float>(), static_cast<std::size_t>(rows.numel())),
                row_count);
        }
        const bool is_narrow =
            cpu::has_bf16_products() && !is_packed && linear.weight.scalar_type() == at::kBFloat16;
        // Not by LinearInput: for one row an operator costs more than what it does.
        if (is_narrow && narrow.empty()) {
            narrow.resize(static_cast<std::size_t>(rows.numel()));
            cpu::narrow(rows.const_data_ptr<float>(), narrow.data(), narrow.size());
        }
        outputs[i] = at::empty(output_sizes(linear.outputs(), x), x.options());
        products.push_back({.linear = &linear,
                            .shape = {.x = rows.const_data_ptr<float>(),
                                      .rows = row_count,
                                      .inputs = static_cast<std::size_t>(x.size(-1)),
                                      .outputs = static_cast<std::size_t>(linear.outputs()),
                                      .y = outputs[i].mutable_data_ptr<float>()},
                            .rounded = is_packed ? &*rounded : nullptr,
                            .narrow = is_narrow ? narrow.data() : nullptr});
    }
    compute(products, x.size(-1));
    for (std::size_t i = 0; i < linears.size(); ++i) {
        if (linears[i]->bias.defined() && !needs_gradient(*linears[i], x)) {
            outputs[i].add_(linears[i]->bias);
        }
        if (linears[i]->adapter != nullptr) {
            outputs[i] = add_low_rank(outputs[i], *linears[i]->adapter, input);
        }
    }
}

}  // namespace anamnesis::runtime
