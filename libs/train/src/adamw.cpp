// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/adamw.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ops/full.h>
#include <torch/optim/adamw.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {
namespace {

using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;

AdamWOptions options_of(const AdamWSettings& settings, double weight_decay) {
    return AdamWOptions(0.0)
        .betas(std::tuple(settings.beta1, settings.beta2))
        .eps(settings.eps)
        .weight_decay(weight_decay);
}

torch::optim::OptimizerParamGroup group_of(std::vector<at::Tensor> tensors, AdamWOptions options) {
    return {std::move(tensors), std::make_unique<AdamWOptions>(std::move(options))};
}

}  // namespace

struct AdamW::Parts {
    NamedTensors parameters;
    torch::optim::AdamW library;

    AdamWParamState* find_state(const at::Tensor& tensor) {
        const auto found = library.state().find(tensor.unsafeGetTensorImpl());
        return found == library.state().end() ? nullptr
                                              : static_cast<AdamWParamState*>(found->second.get());
    }
};

AdamW::AdamW(const NamedTensors& parameters, const AdamWSettings& settings) {
    std::vector<at::Tensor> matrices;
    std::vector<at::Tensor> others;
    for (const auto& [name, tensor] : parameters) {
        (tensor.dim() == 2 ? matrices : others).push_back(tensor);
    }
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.push_back(group_of(std::move(matrices), options_of(settings, settings.weight_decay)));
    groups.push_back(group_of(std::move(others), options_of(settings, 0.0)));
    parts_ = std::make_unique<Parts>(
        Parts{.parameters = parameters,
              .library = torch::optim::AdamW(groups, options_of(settings, settings.weight_decay))});
}

AdamW::AdamW(AdamW&& other) noexcept = default;
AdamW& AdamW::operator=(AdamW&& other) noexcept = default;
AdamW::~AdamW() = default;

void AdamW::step(double learning_rate) {
    for (torch::optim::OptimizerParamGroup& group : parts_->library.param_groups()) {
        group.options().set_lr(learning_rate);
    }
    parts_->library.step();
}

NamedTensors AdamW::state() const {
    NamedTensors tensors;
    for (const auto& [name, tensor] : parts_->parameters) {
        if (const AdamWParamState* state = parts_->find_state(tensor)) {
            tensors.emplace("exp_avg." + name, state->exp_avg());
            tensors.emplace("exp_avg_sq." + name, state->exp_avg_sq());
            tensors.emplace("step." + name, at::full({1}, state->step(), at::kLong));
        }
    }
    return tensors;
}

void AdamW::restore(const NamedTensors& state) {
    for (const auto& [name, tensor] : parts_->parameters) {
        const auto step = state.find("step." + name);
        if (step == state.end()) {
            continue;
        }
        const auto moment = [&, &owner = tensor](const std::string& key) {
            const auto found = state.find(key);
            if (found == state.end() || found->second.sizes() != owner.sizes()) {
                throw Error(ErrorKind::mismatch,
                            format("no tensor {} of the weight's shape in the state of the "
                                   "optimiser",
                                   in_quotes(key)));
            }
            return found->second.to(owner.device(), owner.scalar_type(), false, /*copy=*/true);
        };
        auto entry = std::make_unique<AdamWParamState>();
        entry->step(step->second.item<std::int64_t>());
        entry->exp_avg(moment("exp_avg." + name));
        entry->exp_avg_sq(moment("exp_avg_sq." + name));
        parts_->library.state()[tensor.unsafeGetTensorImpl()] = std::move(entry);
    }
}

}  // namespace anamnesis::train
