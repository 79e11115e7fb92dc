// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <map>
#include <utility>

#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {

/// Second moments under construction, in float64.
class MomentSums {
public:
    /// Adds sum_t w_t x_t x_t^T.
    /// Shapes: x [T, n]; weights [T, g] float64, a moment for each of g heads, or undefined (one,
    ///         all weights 1). With `has_bias` x is followed by 1.
    void add(const restore::MomentKey& key,
             const at::Tensor& x,
             const at::Tensor& weights,
             bool has_bias);

    /// Adds all of another's.
    void add(const MomentSums& other);

    /// [g, n, n]. Errors: `internal` where nothing was added.
    const at::Tensor& at(const restore::MomentKey& key) const;
    void set(const restore::MomentKey& key, at::Tensor sum) { sums_[key] = std::move(sum); }

    const std::map<restore::MomentKey, at::Tensor>& all() const& noexcept { return sums_; }

    restore::MomentSet finish() const;

private:
    std::map<restore::MomentKey, at::Tensor> sums_;
};

/// So that the trace is the size; with several matrices, the mean of the traces.
at::Tensor scaled(const at::Tensor& moment);

}  // namespace anamnesis::calibration
