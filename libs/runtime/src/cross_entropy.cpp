// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/cross_entropy.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "anamnesis/base/check.hpp"

#include "cpu_gradients.hpp"
#include "cpu_kernels.hpp"
#include "fast_product.hpp"

namespace anamnesis::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Logits that are there at once, and the rows below which products lose their speed.
constexpr std::int64_t most_logits = std::int64_t{1} << 25;
constexpr std::int64_t fewest_rows = 256;

/// Rows of a piece.
constexpr std::int64_t find_step(std::int64_t classes) {
    return std::max(fewest_rows, most_logits / classes);
}

/// x weight^T.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight) {
    const bool is_fast =
        x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
    return is_fast ? fast_product(x, weight) : at::mm(x, weight.t());
}

/// What the head's products are made in: bfloat16 where weights are in it, factors may be rounded
/// to it and the processor multiplies it.
at::ScalarType type_of_products(const at::Tensor& hidden, const LogitHead& head) {
    const bool is_narrow = head.rounds_in_training && hidden.is_cpu() &&
                           hidden.scalar_type() == at::kFloat &&
                           head.weight.scalar_type() == at::kBFloat16 && cpu::has_bf16_products();
    return is_narrow ? at::kBFloat16 : hidden.scalar_type();
}

/// Puts the gradient by the logits in their place; the loss.
double turn_into_gradient_on_cpu(at::Tensor& logits,
                                 const at::Tensor& targets,
                                 const at::Tensor& shares) {
    const std::int64_t rows = logits.size(0);
    const std::int64_t classes = logits.size(1);
    constexpr std::int64_t grain = 1 << 14;
    const std::int64_t parts = std::clamp<std::int64_t>(
        rows * classes / grain, 1, static_cast<std::int64_t>(at::get_num_threads()));
    std::vector<double> sums(static_cast<std::size_t>(parts));
    const std::int64_t* labels = targets.const_data_ptr<std::int64_t>();
    const float* weights = shares.const_data_ptr<float>();
    float* values = logits.mutable_data_ptr<float>();
    at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t part = first; part < last; ++part) {
            const std::int64_t begin = rows * part / parts;
            const std::int64_t end = rows * (part + 1) / parts;
            sums[static_cast<std::size_t>(part)] =
                cpu::cross_entropy(values + begin * classes,
                                   labels + begin,
                                   weights + begin,
                                   values + begin * classes,
                                   static_cast<std::size_t>(end - begin),
                                   static_cast<std::size_t>(classes));
        }
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

/// The same anywhere.
at::Tensor turn_into_gradient(at::Tensor& logits,
                              const at::Tensor& targets,
                              const at::Tensor& shares) {
    if (logits.is_cpu() && logits.scalar_type() == at::kFloat) {
        return at::full({}, turn_into_gradient_on_cpu(logits, targets, shares), at::kDouble);
    }
    const at::Tensor chosen = targets.unsqueeze(1);
    const at::Tensor normaliser = at::logsumexp(logits, 1, /*keepdim=*/true);
    const at::Tensor losses = (normaliser - logits.gather(1, chosen)).squeeze(1);
    logits.sub_(normaliser).exp_();
    logits.scatter_add_(1, chosen, at::full_like(normaliser, -1.0));
    logits.mul_(shares.unsqueeze(1));
    return (losses.to(at::kDouble) * shares).sum();
}

/// What is ready after one pass over the rows.
struct Summed {
    at::Tensor loss;
    at::Tensor by_hidden{};  ///< undefined where it is not wanted
    at::Tensor by_weight{};
    at::Tensor by_bias{};
};

Summed sum_pieces(const at::Tensor& hidden,
                  const LogitHead& head,
                  const at::Tensor& targets,
                  const at::Tensor& shares) {
    const at::ScalarType type = type_of_products(hidden, head);
    const at::Tensor weight = head.weight.to(type);
    Summed summed{.loss = at::zeros({}, hidden.options().dtype(at::kDouble))};
    if (hidden.requires_grad()) {
        summed.by_hidden = at::empty_like(hidden);
    }
    const std::int64_t step = find_step(weight.size(0));
    for (std::int64_t first = 0; first < hidden.size(0); first += step) {
        const std::int64_t count = std::min(step, hidden.size(0) - first);
        const at::Tensor rows = hidden.narrow(0, first, count).to(type);
        at::Tensor values = product(rows, weight).to(hidden.scalar_type());
        if (head.bias.defined()) {
            values.add_(head.bias);
        }
        if (head.scale != 1.0) {
            values.mul_(head.scale);
        }
        at::Tensor slope;
        if (head.softcap) {
            values.div_(*head.softcap).tanh_();
            slope = 1.0 - values.square();
            values.mul_(*head.softcap);
        }
        summed.loss += turn_into_gradient(
            values, targets.narrow(0, first, count), shares.narrow(0, first, count));
        if (slope.defined()) {
            values.mul_(slope);
        }
        if (head.scale != 1.0) {
            values.mul_(head.scale);
        }
        const at::Tensor d_values = values.to(type);
        if (summed.by_hidden.defined()) {
            summed.by_hidden.narrow(0, first, count).copy_(product(d_values, weight.t()));
        }
        if (head.weight.requires_grad()) {
            const at::Tensor part = product(d_values.t(), rows.t()).to(hidden.scalar_type());
            summed.by_weight = summed.by_weight.defined() ? summed.by_weight.add_(part) : part;
        }
        if (head.bias.defined() && head.bias.requires_grad()) {
            const at::Tensor part = values.sum(0);
            summed.by_bias = summed.by_bias.defined() ? summed.by_bias.add_(part) : part;
        }
    }
    return summed;
}

/// The gradients are as good as ready when the loss is.
struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& hidden,
                              const at::Tensor& weight,
                              const std::optional<at::Tensor>& bias,
                              const LogitHead& head,
                              const at::Tensor& targets,
                              const at::Tensor& shares) {
        Summed summed = sum_pieces(hidden,
                                   {.weight = weight,
                                    .bias = bias.value_or(at::Tensor()),
                                    .scale = head.scale,
                                    .softcap = head.softcap,
                                    .rounds_in_training = head.rounds_in_training},
                                   targets,
                                   shares);
        context->saved_data["by_hidden"] = std::move(summed.by_hidden);
        context->saved_data["by_weight"] = std::move(summed.by_weight);
        context->saved_data["by_bias"] = std::move(summed.by_bias);
        context->saved_data["weight_type"] = weight.scalar_type();
        return summed.loss;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        ANAMNESIS_CHECK(!context->saved_data.empty(), "gradients of a loss are taken once");
        const auto saved = std::exchange(context->saved_data, {});
        variable_list all(6);
        if (const at::Tensor by_hidden = saved.at("by_hidden").toTensor(); by_hidden.defined()) {
            all[0] = by_hidden.mul_(gradients.front());
        }
        if (const at::Tensor by_weight = saved.at("by_weight").toTensor(); by_weight.defined()) {
            all[1] = by_weight.mul_(gradients.front()).to(saved.at("weight_type").toScalarType());
        }
        if (const at::Tensor by_bias = saved.at("by_bias").toTensor(); by_bias.defined()) {
            all[2] = by_bias.mul_(gradients.front());
        }
        return all;
    }
};

}  // namespace

at::Tensor summed_cross_entropy(const at::Tensor& hidden,
                                const LogitHead& head,
                                const at::Tensor& targets,
                                const at::Tensor& weights) {
    const at::TensorOptions options = hidden.options().requires_grad(false);
    const at::Tensor shares =
        weights.defined() ? weights.to(options).contiguous() : at::ones({hidden.size(0)}, options);
    const at::Tensor labels = targets.to(hidden.device()).contiguous();
    const bool has_gradient =
        at::GradMode::is_enabled() && (hidden.requires_grad() || head.weight.requires_grad() ||
                                       (head.bias.defined() && head.bias.requires_grad()));
    return has_gradient
               ? CrossEntropy::apply(hidden,
                                     head.weight,
                                     head.bias.defined() ? std::optional(head.bias) : std::nullopt,
                                     head,
                                     labels,
                                     shares)
               : sum_pieces(hidden.detach(),
                            {.weight = head.weight.detach(),
                             .bias = head.bias.defined() ? head.bias.detach() : head.bias,
                             .scale = head.scale,
                             .softcap = head.softcap,
                             .rounds_in_training = head.rounds_in_training},
                            labels,
                            shares)
                     .loss;
}

std::uint64_t count_loss_values(std::uint64_t rows, std::uint64_t classes, std::uint64_t width) {
    const auto step = static_cast<std::uint64_t>(find_step(static_cast<std::int64_t>(classes)));
    return std::min(rows, step) * classes + (rows > step ? classes * width : 0);
}

}  // namespace anamnesis::runtime
