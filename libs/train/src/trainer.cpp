// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/trainer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/train/loss.hpp"
#include "anamnesis/train/processes.hpp"

#include "gradient_sums.hpp"
#include "shares.hpp"

namespace anamnesis::train {
namespace {

/// The tensor that the optimiser moves: the network's own where it is precise enough.
at::Tensor make_master(const at::Tensor& parameter) {
    const bool is_precise =
        parameter.scalar_type() == at::kFloat || parameter.scalar_type() == at::kDouble;
    return is_precise ? parameter : parameter.detach().to(at::kFloat);
}

NamedTensors make_masters(const runtime::Network& network, const NamedTensors& exact) {
    NamedTensors masters;
    for (const auto& [name, parameter] : network.trained()) {
        at::Tensor master = make_master(parameter);
        if (const auto found = exact.find(name);
            found != exact.end() && !master.is_same(parameter)) {
            master.copy_(found->second.detach());
        }
        masters.emplace(name, std::move(master));
    }
    return masters;
}

at::Tensor narrow_rows(const at::Tensor& tensor, const checkpoint::RowRange& rows) {
    return tensor.narrow(
        0, static_cast<std::int64_t>(rows.begin), static_cast<std::int64_t>(rows.size()));
}

bool is_frozen_whole(const at::Tensor& tensor, const std::vector<RowRule>& rules) {
    std::uint64_t frozen = 0;
    for (const RowRule& rule : rules) {
        frozen += rule.rate == 0.0 ? rule.rows.size() : 0;
    }
    return frozen == static_cast<std::uint64_t>(tensor.size(0));
}

/// Matrices decay, in stacks too, and the factors of adapters; gains, biases, decays and
/// convolution kernels do not.
std::set<std::string> find_decaying(const runtime::Network& network) {
    using checkpoint::Initial;
    std::set<std::string> decaying;
    for (const auto& [name, parameter] : network.trained()) {
        const checkpoint::PlannedTensor* planned =
            network.spec().blueprint->find_named(checkpoint::canonical_name(name));
        const bool is_matrix = planned == nullptr
                                   ? parameter.dim() == 2
                                   : planned->initial == Initial::matrix ||
                                         planned->initial == Initial::stream_matrix ||
                                         planned->initial == Initial::embedding;
        if (is_matrix) {
            decaying.insert(name);
        }
    }
    return decaying;
}

/// Values of a bucket of gradients: enough that a message is worth its latency, few enough that
/// the first one leaves early.
constexpr std::int64_t values_of_bucket = 1 << 20;

/// The order in which a forward pass comes to the weights.
std::vector<std::string> names_as_used(const runtime::Network& network) {
    const at::Tensor& embedding = network.parameter(std::nullopt, checkpoint::role::embedding);
    const auto forward_position = [&](const std::string& name) -> std::uint64_t {
        constexpr std::string_view layers = "layers.";
        if (network.trained().at(name).is_same(embedding)) {
            return 0;
        }
        const std::size_t found = name.find(layers);
        if (found == std::string::npos) {
            return std::numeric_limits<std::uint64_t>::max();
        }
        std::uint64_t layer = 0;
        std::from_chars(name.data() + found + layers.size(), name.data() + name.size(), layer);
        return layer + 1;
    };
    std::vector<std::string> names;
    for (const auto& [name, parameter] : network.trained()) {
        names.push_back(name);
    }
    std::ranges::stable_sort(names, {}, forward_position);
    return names;
}

Supervision supervision_of_all(std::span<const Batch> batches, std::uint32_t vocabulary) {
    Supervision all;
    for (const Batch& batch : batches) {
        const Supervision one = count_supervision(batch, vocabulary);
        all.predictions += one.predictions;
        all.weight += one.weight;
    }
    if (!(all.weight > 0.0)) {
        throw Error(ErrorKind::malformed, "no prediction of the batch is supervised");
    }
    return all;
}

/// Of all gradients together.
double measure_norm(const NamedTensors& gradients) {
    double squares = 0.0;
    for (const auto& [name, gradient] : gradients) {
        const at::ScalarType precise =
            gradient.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        const at::Tensor norm = at::linalg_vector_norm(gradient, 2, {}, false, precise);
        squares += std::pow(norm.item<double>(), 2.0);
    }
    return std::sqrt(squares);
}

}  // namespace

Trainer::Trainer(runtime::Network network, TrainerSettings settings, const NamedTensors& exact)
    : network_(std::move(network)),
      settings_(std::move(settings)),
      masters_(make_masters(network_, exact)),
      optimizer_(masters_, find_decaying(network_), settings_.adamw) {
    for (const auto& [name, rules] : settings_.rules) {
        at::Tensor parameter = network_.trained().at(name);
        if (is_frozen_whole(parameter, rules)) {
            parameter.requires_grad_(false);
        }
        if (std::ranges::any_of(rules, [](const RowRule& rule) { return rule.anchor > 0.0; })) {
            starts_.emplace(name, masters_.at(name).detach().clone());
        }
    }
    if (settings_.processes != nullptr && settings_.processes->count() > 1) {
        sums_ = std::make_unique<GradientSums>(
            network_.trained(), names_as_used(network_), *settings_.processes, values_of_bucket);
    }
}

Trainer::Trainer(Trainer&& other) noexcept = default;
Trainer::~Trainer() = default;

StepFigures Trainer::step(std::span<const Batch> batches, double learning_rate) {
    const Supervision all = supervision_of_all(batches, network_.spec().vocabulary_size);
    StepFigures figures{.learning_rate = learning_rate, .supervised = all.predictions};
    for (const Batch& batch : batches) {
        figures.tokens += batch.ids.size();
    }
    figures.loss =
        sums_ ? accumulate_with_others(batches, all.weight) : accumulate(batches, all.weight);
    if (!std::isfinite(figures.loss)) {
        throw Error(ErrorKind::numerical, format("the loss is {}", figures.loss));
    }
    const at::NoGradGuard no_gradients;
    NamedTensors gradients = take_gradients();
    follow_rules_on(gradients);
    figures.grad_norm = measure_norm(gradients);
    update(learning_rate, gradients, figures.grad_norm);
    return figures;
}

/// Adds the gradients of the batches' share in a loss of this weight; that share.
double Trainer::accumulate(std::span<const Batch> batches, double weight) {
    const at::AutoGradMode records(true);
    double loss = 0.0;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        const at::Tensor sum = summed_loss(network_, batches[i]);
        if (sums_ && i + 1 == batches.size()) {
            sums_->watch();
        }
        if (sum.defined()) {
            const at::Tensor share = sum / weight;
            loss += share.item<double>();
            share.backward();
        }
    }
    return loss;
}

/// The same for all processes together: each takes its share of the rows. A process that fails
/// takes part in the sums all the same, since the others wait for it there.
double Trainer::accumulate_with_others(std::span<const Batch> batches, double weight) {
    Processes& processes = *settings_.processes;
    std::array<double, 1> loss{};
    std::exception_ptr failure;
    try {
        loss[0] = accumulate(take_share(batches, processes.rank(), processes.count()), weight);
    } catch (...) {
        failure = std::current_exception();
    }
    summed_ = sums_->finish();
    processes.sum(loss);
    processes.agree([&] {
        if (failure) {
            std::rethrow_exception(failure);
        }
    });
    return loss[0];
}

double Trainer::loss(std::span<const Batch> batches) const {
    const at::NoGradGuard no_gradients;
    const Supervision all = supervision_of_all(batches, network_.spec().vocabulary_size);
    double total = 0.0;
    for (const Batch& batch : batches) {
        if (const at::Tensor sum = summed_loss(network_, batch); sum.defined()) {
            total += sum.item<double>();
        }
    }
    return total / all.weight;
}

/// In the type that they were computed in; those of all processes in float32.
NamedTensors Trainer::take_gradients() {
    if (sums_) {
        return std::exchange(summed_, {});
    }
    NamedTensors gradients;
    for (const auto& [name, parameter] : network_.trained()) {
        if (parameter.grad().defined()) {
            gradients.emplace(name, parameter.grad());
            at::Tensor(parameter).mutable_grad().reset();
        }
    }
    return gradients;
}

void Trainer::follow_rules_on(NamedTensors& gradients) const {
    for (const auto& [name, rules] : settings_.rules) {
        const auto found = gradients.find(name);
        if (found == gradients.end()) {
            continue;
        }
        const at::Tensor& master = masters_.at(name);
        found->second = found->second.to(master.scalar_type());
        for (const RowRule& rule : rules) {
            at::Tensor gradient = narrow_rows(found->second, rule.rows);
            if (rule.rate == 0.0) {
                gradient.zero_();
            } else if (rule.anchor > 0.0) {
                gradient.add_(
                    narrow_rows(master, rule.rows) - narrow_rows(starts_.at(name), rule.rows),
                    rule.anchor);
            }
        }
    }
}

void Trainer::update(double learning_rate, const NamedTensors& gradients, double norm) {
    // An update is proportional to the learning rate, weight decay included: a smaller rate for
    // some rows is a shorter way from what they were.
    struct Held {
        at::Tensor rows;
        at::Tensor before;
        double rate = 1.0;
    };
    std::multimap<std::string, Held> held;
    for (const auto& [name, rules] : settings_.rules) {
        for (const RowRule& rule : rules) {
            if (rule.rate != 1.0 && gradients.contains(name)) {
                const at::Tensor rows = narrow_rows(masters_.at(name), rule.rows);
                held.emplace(name, Held{.rows = rows, .before = rows.clone(), .rate = rule.rate});
            }
        }
    }
    const double clipped = settings_.clip ? std::min(1.0, *settings_.clip / (norm + 1e-6)) : 1.0;
    optimizer_.step(learning_rate, gradients, clipped, [&](const std::string& name) {
        const auto [first, last] = held.equal_range(name);
        for (Held& one : std::ranges::subrange(first, last) | std::views::values) {
            one.rows.copy_(one.rate == 0.0 ? one.before
                                           : one.before + (one.rows - one.before) * one.rate);
        }
        const at::Tensor& master = masters_.at(name);
        at::Tensor parameter = network_.trained().at(name);
        if (!master.is_same(parameter)) {
            parameter.copy_(master);
        }
    });
}

NamedTensors Trainer::state() const {
    NamedTensors state = optimizer_.state();
    for (const auto& [name, tensor] : masters_) {
        state.emplace("weight." + name, tensor.detach());
    }
    for (const auto& [name, tensor] : starts_) {
        state.emplace("start." + name, tensor);
    }
    return state;
}

void Trainer::restore(const NamedTensors& state) {
    const at::NoGradGuard no_gradients;
    const auto take = [&](const std::string& key, const at::Tensor& target) {
        const auto found = state.find(key);
        if (found == state.end() || found->second.sizes() != target.sizes()) {
            throw Error(
                ErrorKind::mismatch,
                format("no tensor {} of the right shape in the saved state", in_quotes(key)));
        }
        target.copy_(found->second);
    };
    for (const auto& [name, master] : masters_) {
        take("weight." + name, master);
        at::Tensor parameter = network_.trained().at(name);
        if (!master.is_same(parameter)) {
            parameter.copy_(master);
        }
    }
    for (const auto& [name, start] : starts_) {
        take("start." + name, start);
    }
    optimizer_.restore(state);
}

}  // namespace anamnesis::train
