// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {

/// What a moment is, before anything is added to it.
struct MomentShape {
    std::int64_t matrices = 1;  ///< one for each key-value head or expert
    bool has_bias = false;      ///< inputs are followed by 1
    /// Inputs are rounded to bfloat16 where they meet their matrix: so they may be here, on their
    /// own or times the root of their weight.
    bool is_rounded = false;
};

/// Second moments under construction, in float64.
class MomentSums {
public:
    /// Adds sum_t w_t x_t x_t^T to each matrix of a moment, or to one of them. Only the lower
    /// triangle is made; `complete` follows before anything is read.
    /// Shapes: x [T, n]; weights float64, [T, matrices] or one column for the one that `only` names
    ///         or where there is one; undefined: all 1.
    void add(const restore::MomentKey& key,
             const at::Tensor& x,
             const at::Tensor& weights,
             const MomentShape& shape,
             std::optional<std::int64_t> only = std::nullopt);

    /// Adds sum_t y_t x_t^T to the target of a moment that inputs were added to.
    /// Shapes: y [T, outputs], x [T, n].
    void add_target(const restore::MomentKey& key, const at::Tensor& y, const at::Tensor& x);

    /// Adds one for each token to the diagonal moment of an embedding.
    /// Shapes: ids [T] int64, below `vocabulary`.
    void count(const restore::MomentKey& key, const at::Tensor& ids, std::int64_t vocabulary);

    /// Makes every matrix symmetric.
    void complete();

    /// Adds all of another's. Errors: here and below, `internal` for sums that are not complete.
    void add(const MomentSums& other);

    /// Adds all of another's, and keeps them apart as well: they are held back.
    void add_held_back(const MomentSums& other);
    /// Takes over sums of other moments.
    void merge(MomentSums&& other);
    /// Forgets what is held back.
    void forget_held_back();

    /// [matrices, n, n] or [n]. Errors: `internal` where nothing was added.
    const at::Tensor& at(const restore::MomentKey& key) const;
    /// Replaces a moment that is there; what it was summed over stays.
    void replace(const restore::MomentKey& key, at::Tensor sum);

    std::vector<restore::MomentKey> keys() const;

    restore::MomentSet finish() const;
    /// The same, a moment after the other, each of which is given up.
    restore::MomentSet give_up();

private:
    struct Sum {
        at::Tensor values{};                  ///< [matrices, n, n]
        at::Tensor target{};                  ///< [outputs, n], or undefined
        std::vector<std::uint64_t> counts{};  ///< of inputs, for each matrix
    };

    static restore::Moment to_moment(const Sum& sum);
    void require_complete() const;

    bool is_complete_ = true;
    std::map<restore::MomentKey, Sum> sums_;
};

/// So that the trace is the size; with several matrices, the mean of the traces.
at::Tensor scaled(const at::Tensor& moment);

}  // namespace anamnesis::calibration
