// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/adamw.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_mul.h>
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

/// Tensors that are moved together.
struct Bundle {
    std::vector<std::string> names{};
    std::vector<at::Tensor> parameters{};
    std::vector<at::Tensor> gradients{};
    std::vector<at::Tensor> averages{};
    std::vector<at::Tensor> squares{};
    std::vector<at::Tensor> steps{};
    std::int64_t values = 0;

    void add(Moved& one, const at::Tensor& gradient) {
        one.steps_done.add_(1.0);
        names.push_back(one.name);
        parameters.push_back(one.parameter);
        gradients.push_back(gradient.to(one.parameter.scalar_type()));
        averages.push_back(one.average);
        squares.push_back(one.square);
        steps.push_back(one.steps_done);
        values += one.parameter.numel();
    }
};

/// The processor takes a few tensors at a time, through all that is done to them, from one read of
/// each; a device takes all at once.
std::int64_t values_of_bundle(const at::Tensor& parameter) {
    return parameter.is_cpu() ? 1 << 19 : std::numeric_limits<std::int64_t>::max();
}

}  // namespace

struct AdamW::Parts {
    AdamWSettings settings{};
    std::vector<Moved> decaying{};
    std::vector<Moved> others{};

    std::array<std::vector<Moved>*, 2> groups() { return {&decaying, &others}; }

    void step(Bundle& bundle, double learning_rate, double weight_decay, double scale) const {
        if (bundle.names.empty()) {
            return;
        }
        if (scale != 1.0) {
            at::_foreach_mul_(bundle.gradients, at::Scalar(scale));
        }
        at::_fused_adamw_(bundle.parameters,
                          bundle.gradients,
                          bundle.averages,
                          bundle.squares,
                          /*max_exp_avg_sqs=*/{},
                          bundle.steps,
                          learning_rate,
                          settings.beta1,
                          settings.beta2,
                          weight_decay,
                          settings.eps,
                          /*amsgrad=*/false,
                          /*maximize=*/false);
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

void AdamW::step(double learning_rate,
                 const NamedTensors& gradients,
                 double scale,
                 const std::function<void(const std::string&)>& moved) {
    const at::NoGradGuard no_gradients;
    for (std::vector<Moved>* group : parts_->groups()) {
        const bool decays = group == &parts_->decaying;
        Bundle bundle;
        const auto move_bundle = [&] {
            parts_->step(
                bundle, learning_rate, decays ? parts_->settings.weight_decay : 0.0, scale);
            std::ranges::for_each(bundle.names, moved);
            bundle = {};
        };
        for (Moved& one : *group) {
            const auto gradient = gradients.find(one.name);
            if (gradient == gradients.end()) {
                continue;
            }
            if (!one.has_begun()) {
                one.begin(0.0);
            }
            bundle.add(one, gradient->second);
            if (bundle.values >= values_of_bundle(one.parameter)) {
                move_bundle();
            }
        }
        move_bundle();
    }
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
