// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/row_rules.hpp"

namespace anamnesis::train {

struct TrainerSettings {
    AdamWSettings adamw{};
    std::optional<double> clip{};  ///< largest norm of all gradients together
    RowRules rules{};
    Processes* processes = nullptr;  ///< others that train the same model; null: none
};

class GradientSums;

/// What one step did.
struct StepFigures {
    double loss = 0.0;       ///< mean over the supervised predictions of all batches
    double grad_norm = 0.0;  ///< of all gradients together, before clipping
    double learning_rate = 0.0;
    std::uint64_t tokens = 0;
    std::uint64_t supervised = 0;
};

/// A network and what moves it. Weights are updated in float32 (float64 where the network is);
/// a network in bfloat16 holds rounded copies of them.
class Trainer {
public:
    /// `network` was loaded as trainable. `exact`: its weights before they were rounded to
    /// bfloat16, where there are such.
    Trainer(runtime::Network network, TrainerSettings settings, const NamedTensors& exact = {});
    Trainer(Trainer&& other) noexcept;
    Trainer& operator=(Trainer&& other) = delete;
    Trainer(const Trainer&) = delete;
    Trainer& operator=(const Trainer&) = delete;
    ~Trainer();

    /// One step of the optimiser. The loss is the mean of the cross-entropy over all supervised
    /// predictions of all batches, each as heavy as its weight, however they are divided. Where
    /// several processes train, all are given all batches, and each takes its share of the rows.
    /// Errors: `malformed` where nothing is supervised or an id is outside the vocabulary;
    /// `numerical` for a loss that is not a number; the weights are as they were before the step.
    StepFigures step(std::span<const Batch> batches, double learning_rate);

    /// The same mean without a step.
    double loss(std::span<const Batch> batches) const;

    const runtime::Network& network() const& noexcept { return network_; }
    /// Weights by name, in the precision of the updates.
    const NamedTensors& weights() const& noexcept { return masters_; }

    /// Weights, moments and, where rules need it, the start of the anchored rows: `weight.NAME`,
    /// `exp_avg.NAME`…, `start.NAME`.
    NamedTensors state() const;
    void restore(const NamedTensors& state);

private:
    double accumulate(std::span<const Batch> batches, double weight);
    double accumulate_with_others(std::span<const Batch> batches, double weight);
    NamedTensors take_gradients();
    void follow_rules_on(NamedTensors& gradients) const;
    void update(double learning_rate, const NamedTensors& gradients, double norm);

    runtime::Network network_;
    TrainerSettings settings_;
    NamedTensors masters_;
    NamedTensors starts_;  ///< of tensors with anchored rows
    NamedTensors summed_;  ///< gradients of all processes, where there are others
    AdamW optimizer_;
    std::unique_ptr<GradientSums> sums_;  ///< where there are other processes
};

}  // namespace anamnesis::train
