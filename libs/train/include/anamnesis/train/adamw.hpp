// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace anamnesis::train {

/// Tensors by their names in the checkpoint.
using NamedTensors = std::map<std::string, at::Tensor>;

struct AdamWSettings {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.01;
};

/// LibTorch's fused AdamW over named tensors.
/// Source: Loshchilov & Hutter 2019.
class AdamW {
public:
    /// `decaying`: names of those whose weights decay.
    AdamW(const NamedTensors& parameters,
          const std::set<std::string>& decaying,
          const AdamWSettings& settings);
    AdamW(AdamW&& other) noexcept;
    AdamW& operator=(AdamW&& other) noexcept;
    AdamW(const AdamW&) = delete;
    AdamW& operator=(const AdamW&) = delete;
    ~AdamW();

    /// Moves the tensors of these gradients, which may be narrower than what they move, by `scale`
    /// times them. Overwrites gradients of the type of their tensors. `moved` is told of each
    /// tensor that was, while it is in a cache.
    void step(double learning_rate,
              const NamedTensors& gradients,
              double scale,
              const std::function<void(const std::string&)>& moved);

    /// First and second moments, as `exp_avg.NAME` and `exp_avg_sq.NAME`, of the tensors that were
    /// moved at least once, and how often each was, `step.NAME` [1].
    NamedTensors state() const;
    /// Goes on from there. Errors: `mismatch` for a tensor that is missing or of another shape.
    void restore(const NamedTensors& state);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace anamnesis::train
