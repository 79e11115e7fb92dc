// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/adamw.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {
namespace {

/// A tensor and what is remembered of its gradients, from its first one on.
struct Moved {
    std::string name;
    at::Tensor parameter;
    at::Tensor average{};     ///< undefined before the first gradient
    at::Tensor square{};      ///< of the gradients' squares
    at::Tensor steps_done{};  ///< float32 of no dimension, as the library wants it

    bool has_begun() const { return average.defined(); }
    void begin(double steps) {
        average = at::zeros_like(parameter);
        square = at::zeros_like(parameter);
        steps_done = at::full({}, steps, parameter.options().dtype(at::kFloat));
    }
};

at::Tensor saved(const NamedTensors& state, const std::string& key, at::IntArrayRef shape) {
    const auto found = state.find(key);
    if (found == state.end() || found->second.sizes() != shape) {
        throw Error(ErrorKind::mismatch,
                    format("no tensor {} of the right shape in the saved state", in_quotes(key)));
    }
    return found->second;
}

}  // namespace

struct AdamW::Parts {
    AdamWSettings settings{};
    std::vector<Moved> decaying{};
    std::vector<Moved> others{};

    std::array<std::vector<Moved>*, 2> groups() { return {&decaying, &others}; }

    void step(std::vector<Moved>& group, double learning_rate, double weight_decay) const {
        std::vector<at::Tensor> parameters;
        std::vector<at::Tensor> gradients;
        std::vector<at::Tensor> averages;
        std::vector<at::Tensor> squares;
        std::vector<at::Tensor> steps;
        for (Moved& one : group) {
            if (!one.parameter.grad().defined()) {
                continue;
            }
            if (!one.has_begun()) {
                one.begin(0.0);
            }
            one.steps_done.add_(1.0);
            parameters.push_back(one.parameter);
            gradients.push_back(one.parameter.grad());
            averages.push_back(one.average);
            squares.push_back(one.square);
            steps.push_back(one.steps_done);
        }
        if (!parameters.empty()) {
            at::_fused_adamw_(parameters,
                              gradients,
                              averages,
                              squares,
                              /*max_exp_avg_sqs=*/{},
                              steps,
                              learning_rate,
                              settings.beta1,
                              settings.beta2,
                              weight_decay,
                              settings.eps,
                              /*amsgrad=*/false,
                              /*maximize=*/false);
        }
    }
};

AdamW::AdamW(const NamedTensors& parameters,
             const std::set<std::string>& decaying,
             const AdamWSettings& settings)
    : parts_(std::make_unique<Parts>(Parts{.settings = settings})) {
    for (const auto& [name, tensor] : parameters) {
        (decaying.contains(name) ? parts_->decaying : parts_->others)
            .push_back({.name = name, .parameter = tensor});
    }
}

AdamW::AdamW(AdamW&& other) noexcept = default;
AdamW& AdamW::operator=(AdamW&& other) noexcept = default;
AdamW::~AdamW() = default;

void AdamW::step(double learning_rate) {
    const at::NoGradGuard no_gradients;
    parts_->step(parts_->decaying, learning_rate, parts_->settings.weight_decay);
    parts_->step(parts_->others, learning_rate, 0.0);
}

NamedTensors AdamW::state() const {
    NamedTensors tensors;
    for (const std::vector<Moved>* group : parts_->groups()) {
        for (const Moved& one : *group) {
            if (one.has_begun()) {
                tensors.emplace("exp_avg." + one.name, one.average);
                tensors.emplace("exp_avg_sq." + one.name, one.square);
                tensors.emplace("step." + one.name, one.steps_done.to(at::kLong).view({1}));
            }
        }
    }
    return tensors;
}

void AdamW::restore(const NamedTensors& state) {
    for (std::vector<Moved>* group : parts_->groups()) {
        for (Moved& one : *group) {
            if (!state.contains("step." + one.name)) {
                one.average.reset();
                continue;
            }
            one.begin(saved(state, "step." + one.name, {1}).item<double>());
            one.average.copy_(saved(state, "exp_avg." + one.name, one.parameter.sizes()));
            one.square.copy_(saved(state, "exp_avg_sq." + one.name, one.parameter.sizes()));
        }
    }
}

}  // namespace anamnesis::train
