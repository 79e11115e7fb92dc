// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace anamnesis::restore {

/// Unrelated rows of one size lie at sqrt(2), a fine-tune far below 1.
inline constexpr double unrelated_distance = 1.1;
inline constexpr double unrelated_cosine = 0.5;
/// From here a sample is worth a look at the order of its rows.
inline constexpr double suspicious_distance = 0.25;

/// Sums over pairs of values, of which both are finite.
struct Relation {
    double before = 0.0;  ///< squares of pre's
    double after = 0.0;   ///< squares of post's
    double product = 0.0;
    double difference = 0.0;

    void add(const std::vector<double>& pre, const std::vector<double>& post) {
        for (std::size_t i = 0; i < pre.size(); ++i) {
            if (std::isfinite(pre[i]) && std::isfinite(post[i])) {
                before += pre[i] * pre[i];
                after += post[i] * post[i];
                product += pre[i] * post[i];
                difference += (post[i] - pre[i]) * (post[i] - pre[i]);
            }
        }
    }
    void merge(const Relation& other) {
        before += other.before;
        after += other.after;
        product += other.product;
        difference += other.difference;
    }
    /// Of post from pre, relative to pre; 0 where pre has zeros alone.
    double distance() const { return before > 0.0 ? std::sqrt(difference / before) : 0.0; }
    /// Against the smaller side: of rows that are much larger on one side little else is left.
    bool is_unrelated() const {
        return before > 0.0 && after > 0.0 &&
               std::sqrt(difference / std::min(before, after)) > unrelated_distance &&
               std::abs(product) < unrelated_cosine * std::sqrt(before * after);
    }
};

/// What the samples of a layer say.
struct LayerRelation {
    std::uint32_t layer = 0;
    Relation query;
    Relation key;

    bool is_unrelated() const { return query.is_unrelated() && key.is_unrelated(); }
    bool is_suspicious() const {
        return query.distance() > suspicious_distance || key.distance() > suspicious_distance;
    }
};

/// By layer.
using LayerRelations = std::map<std::uint32_t, LayerRelation>;

}  // namespace anamnesis::restore
