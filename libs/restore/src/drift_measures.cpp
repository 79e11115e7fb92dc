// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/drift_measures.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/alignment.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;
using linalg::transposed;
using ConstView = linalg::MatrixView<const double>;

/// Below this the trace form has lost more than a part in 1e10.
constexpr double difference_form_limit = 1e-3;

double relative_drift(double difference, double reference) {
    if (difference == 0.0) {
        return 0.0;
    }
    return reference == 0.0 ? std::numeric_limits<double>::infinity()
                            : std::sqrt(difference / reference);
}

bool is_finite(const HeadPair& pair) {
    return linalg::is_finite(pair.pre) && linalg::is_finite(pair.post);
}

void check_pair(const HeadPair& pair) {
    ANAMNESIS_CHECK(
        pair.pre.rows() == pair.post.rows() && pair.pre.columns() == pair.post.columns(),
        "rows of a head differ in shape between pre and post");
}

}  // namespace

void DriftSums::add(std::span<const double> pre, std::span<const double> post) {
    ANAMNESIS_CHECK(pre.size() == post.size(), "drift between blocks of different lengths");
    // Rows that stay in the first-level cache, and lose few values where one is not finite.
    constexpr std::size_t block = 1024;
    count += pre.size();
    for (std::size_t first = 0; first < pre.size(); first += block) {
        const std::size_t size = std::min(block, pre.size() - first);
        const ConstView x(pre.data() + first, 1, size);
        const ConstView y(post.data() + first, 1, size);
        const double apart = linalg::sum_of_squared_differences(x, y);
        const double squares = linalg::sum_of_squares(x);
        // A NaN or an infinity shows in one of the sums, so finite blocks need no look at each.
        if (std::isfinite(apart) && std::isfinite(squares)) {
            difference += apart;
            reference += squares;
            continue;
        }
        for (std::size_t j = 0; j < size; ++j) {
            if (std::isfinite(x(0, j)) && std::isfinite(y(0, j))) {
                difference += (y(0, j) - x(0, j)) * (y(0, j) - x(0, j));
                reference += x(0, j) * x(0, j);
            } else {
                ++skipped;
            }
        }
    }
}

void DriftSums::add(ConstView pre, ConstView post) {
    check_pair({pre, post});
    for (std::size_t i = 0; i < pre.rows(); ++i) {
        add(pre.row(i), post.row(i));
    }
}

void DriftSums::merge(const DriftSums& other) {
    difference += other.difference;
    reference += other.reference;
    count += other.count;
    skipped += other.skipped;
}

double DriftSums::relative() const {
    if (count > 0 && skipped == count) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    return relative_drift(difference, reference);
}

DriftSums DriftSums::without_difference() const {
    DriftSums result = *this;
    result.difference = 0.0;
    return result;
}

RoutingDrift::RoutingDrift(const HeadPair& key) : is_key_finite_(is_finite(key)) {
    check_pair(key);
    if (!is_key_finite_) {
        return;
    }
    pre_gram_ = linalg::gram(key.pre);
    post_gram_ = linalg::gram(key.post);
    cross_ = linalg::product(key.pre, transposed(key.post));
    const Matrix apart = linalg::difference(key.post, key.pre);
    difference_gram_ = linalg::gram(apart);
    difference_cross_ = linalg::product(key.pre, transposed(apart));
}

std::optional<double> RoutingDrift::of(const HeadPair& query) const {
    check_pair(query);
    if (!is_key_finite_ || !is_finite(query)) {
        return std::nullopt;
    }
    ANAMNESIS_CHECK(query.pre.rows() == pre_gram_.rows(), "a query head of another size");
    const Matrix query_pre_gram = linalg::gram(query.pre);
    const Matrix query_post_gram = linalg::gram(query.post);
    const Matrix query_cross = linalg::product(query.pre, transposed(query.post));
    const double reference = linalg::dot(query_pre_gram, pre_gram_);
    const double by_traces = linalg::dot(query_post_gram, post_gram_) -
                             2.0 * linalg::dot(query_cross, cross_) + reference;
    if (by_traces > difference_form_limit * difference_form_limit * reference) {
        return relative_drift(by_traces, reference);
    }
    const Matrix apart = linalg::difference(query.post, query.pre);
    const Matrix apart_gram = linalg::gram(apart);
    const Matrix apart_cross = linalg::product(apart, transposed(query.post));
    const double by_differences = linalg::dot(apart_gram, pre_gram_) +
                                  2.0 * linalg::dot(apart_cross, difference_cross_) +
                                  linalg::dot(query_post_gram, difference_gram_);
    return relative_drift(std::max(by_differences, 0.0), reference);
}

std::optional<AlignedDrift> aligned_drift(std::span<const HeadPair> queries,
                                          const HeadPair& key,
                                          const checkpoint::RotaryLayout& rotary) {
    if (!is_finite(key) || !std::ranges::all_of(queries, is_finite)) {
        return std::nullopt;
    }
    GaugeFit fit(key.pre.rows(), rotary);
    for (const HeadPair& query : queries) {
        check_pair(query);
        fit.add(query.pre, query.post);
    }
    check_pair(key);
    fit.add(key.pre, key.post);
    const Gauge gauge = fit.solve();
    AlignedDrift result;
    result.angles = gauge.angles;
    double difference = 0.0;
    double reference = 0.0;
    const auto measure = [&](const HeadPair& pair) {
        const double misfit = gauge.misfit(pair.pre, pair.post);
        const double squares = linalg::sum_of_squares(pair.pre);
        difference += misfit;
        reference += squares;
        return relative_drift(misfit, squares);
    };
    for (const HeadPair& query : queries) {
        result.queries.push_back(measure(query));
    }
    result.key = measure(key);
    result.group = relative_drift(difference, reference);
    return result;
}

GroupDrift measure_group(std::span<const HeadPair> queries,
                         const HeadPair& key,
                         const std::optional<checkpoint::RotaryLayout>& gauge) {
    GroupDrift result;
    result.key.add(key.pre, key.post);
    const RoutingDrift routing(key);
    for (const HeadPair& query : queries) {
        result.queries.emplace_back().add(query.pre, query.post);
        result.routing.push_back(routing.of(query));
    }
    if (gauge) {
        result.aligned = aligned_drift(queries, key, *gauge);
    }
    return result;
}

double naive_routing_drift(const HeadPair& query, const HeadPair& key) {
    const Matrix before = linalg::product(transposed(query.pre), key.pre);
    const Matrix after = linalg::product(transposed(query.post), key.post);
    return relative_drift(linalg::sum_of_squared_differences(after, before),
                          linalg::sum_of_squares(before));
}

}  // namespace anamnesis::restore
