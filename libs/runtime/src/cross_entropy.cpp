// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/cross_entropy.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_gradients.hpp"

namespace anamnesis::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The gradient is as good as ready when the loss is, so one pass makes both.
struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& values,
                              const at::Tensor& targets,
                              const at::Tensor& weights) {
        const at::Tensor logits = values.contiguous();
        at::Tensor gradient = at::empty_like(logits);
        const std::int64_t rows = logits.size(0);
        const std::int64_t classes = logits.size(1);
        constexpr std::int64_t grain = 1 << 14;
        const std::int64_t parts = std::clamp<std::int64_t>(
            rows * classes / grain, 1, static_cast<std::int64_t>(at::get_num_threads()));
        std::vector<double> sums(static_cast<std::size_t>(parts));
        const float* from = logits.const_data_ptr<float>();
        const std::int64_t* labels = targets.const_data_ptr<std::int64_t>();
        const float* shares = weights.const_data_ptr<float>();
        float* to = gradient.mutable_data_ptr<float>();
        at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t part = first; part < last; ++part) {
                const std::int64_t begin = rows * part / parts;
                const std::int64_t end = rows * (part + 1) / parts;
                sums[static_cast<std::size_t>(part)] =
                    cpu::cross_entropy(from + begin * classes,
                                       labels + begin,
                                       shares + begin,
                                       to + begin * classes,
                                       static_cast<std::size_t>(end - begin),
                                       static_cast<std::size_t>(classes));
            }
        });
        context->save_for_backward({gradient});
        return at::scalar_tensor(std::accumulate(sums.begin(), sums.end(), 0.0), at::kDouble);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const at::Tensor by_logits = context->get_saved_variables().front();
        return {by_logits * gradients.front().to(by_logits.scalar_type()), {}, {}};
    }
};

}  // namespace

at::Tensor summed_cross_entropy(const at::Tensor& logits,
                                const at::Tensor& targets,
                                const at::Tensor& weights) {
    if (logits.is_cpu() && logits.scalar_type() == at::kFloat && logits.size(0) > 0) {
        const at::Tensor shares =
            weights.defined() ? weights.to(at::kFloat).contiguous()
                              : at::ones({logits.size(0)}, logits.options().requires_grad(false));
        return CrossEntropy::apply(logits, targets.contiguous(), shares);
    }
    if (!weights.defined()) {
        return at::cross_entropy_loss(logits, targets, std::nullopt, at::Reduction::Sum);
    }
    const at::Tensor each =
        at::cross_entropy_loss(logits, targets, std::nullopt, at::Reduction::None);
    return (each * weights.to(each.device(), each.scalar_type())).sum();
}

}  // namespace anamnesis::runtime
