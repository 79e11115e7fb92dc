// SPDX-License-Identifier: Apache-2.0
#include "blocks/scale_search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "blocks/fields.hpp"

namespace anamnesis::blocks {
namespace {

constexpr std::size_t most_values = 32;
constexpr int most_passes = 5;

/// Sums of w * x * l and w * l * l.
struct Products {
    float with_values = 0.0F;
    float with_levels = 0.0F;

    void add(float weight, float value, int level) {
        const auto number = static_cast<float>(level);
        with_values += weight * value * number;
        with_levels += weight * number * number;
    }
    float scale() const { return with_levels > 0.0F ? with_values / with_levels : 0.0F; }
};

float weigh(Values values, Values weights, std::size_t i) {
    return weights.empty() ? values[i] * values[i] : weights[i];
}

int round_signed(float value, int most) {
    return std::clamp(round_to_even(value), -most, most - 1);
}

Products multiply_signed(Values values, int most, Values weights, float inverse) {
    Products products;
    for (std::size_t i = 0; i < values.size(); ++i) {
        products.add(weigh(values, weights, i), values[i], round_signed(inverse * values[i], most));
    }
    return products;
}

void store_signed(Values values, int most, float inverse, Levels levels) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        levels[i] = round_signed(inverse * values[i], most) + most;
    }
}

/// Level `i` at its best while the others stay; true where it changed for the better.
bool improve_level(float value,
                   float weight,
                   int lowest,
                   int highest,
                   bool needs_levels,
                   Products& products,
                   int& level) {
    const auto old = static_cast<float>(level);
    float with_values = products.with_values - weight * value * old;
    float with_levels = products.with_levels - weight * old * old;
    if (!(with_values > 0.0F) || (needs_levels && !(with_levels > 0.0F))) {
        return false;
    }
    const int better =
        std::clamp(round_to_even(value * with_levels / with_values), lowest, highest);
    if (better == level) {
        return false;
    }
    const auto number = static_cast<float>(better);
    with_values += weight * value * number;
    with_levels += weight * number * number;
    const bool is_better = with_values * with_values * products.with_levels >
                           products.with_values * products.with_values * with_levels;
    if (!is_better || !(needs_levels || with_levels > 0.0F)) {
        return false;
    }
    products = {.with_values = with_values, .with_levels = with_levels};
    level = better;
    return true;
}

float measure_error(Values values, Values weights, float inverse, int most) {
    const float scale = 1.0F / inverse;
    float error = 0.0F;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int level = std::min(most, round_to_even(inverse * values[i]));
        const float difference = values[i] - scale * static_cast<float>(level);
        error += weights[i] * difference * difference;
    }
    return error;
}

/// What one scale of `search_range` gives.
class RangeTrial {
public:
    RangeTrial(Values values, Values weights, const RangeSearch& search)
        : values_(values), weights_(weights), search_(search) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            sum_of_weights_ += weights[i];
            sum_of_values_ += weights[i] * values[i];
        }
    }

    void set_levels(float inverse, float min, Levels levels) const {
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const float scaled = inverse * (values_[i] - min);
            // Also what is no number, or too large to be rounded.
            levels[i] = scaled > 0.0F
                            ? round_to_even(std::min(scaled, static_cast<float>(search_.most)))
                            : 0;
        }
    }

    float measure(float scale, float min, Levels levels) const {
        float error = 0.0F;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const float difference = scale * static_cast<float>(levels[i]) + min - values_[i];
            error += weights_[i] *
                     (search_.is_absolute ? std::fabs(difference) : difference * difference);
        }
        return error;
    }

    /// Least squares for given levels; false where they are all the same. `min` has its own sign.
    bool fit(Levels levels, float& scale, float& min) const {
        float once = 0.0F;
        float twice = 0.0F;
        float with_values = 0.0F;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const auto level = static_cast<float>(levels[i]);
            once += weights_[i] * level;
            twice += weights_[i] * level * level;
            with_values += weights_[i] * level * values_[i];
        }
        const float determinant = sum_of_weights_ * twice - once * once;
        if (!(determinant > 0.0F)) {
            return false;
        }
        scale = (sum_of_weights_ * with_values - sum_of_values_ * once) / determinant;
        min = (twice * sum_of_values_ - once * with_values) / determinant;
        if (min > 0.0F) {
            min = 0.0F;
            scale = with_values / twice;
        }
        return true;
    }

private:
    Values values_;
    Values weights_;
    const RangeSearch& search_;
    float sum_of_weights_ = 0.0F;
    float sum_of_values_ = 0.0F;
};

}  // namespace

float find_extreme(Values values) {
    float extreme = 0.0F;
    for (const float value : values) {
        if (std::fabs(value) > std::fabs(extreme)) {
            extreme = value;
        }
    }
    return extreme;
}

float search_signed(Values values, int most, Values weights, Levels levels) {
    const float extreme = find_extreme(values);
    if (std::fabs(extreme) < smallest_group) {
        std::ranges::fill(levels, 0);
        return 0.0F;
    }
    const float first = static_cast<float>(-most) / extreme;
    store_signed(values, most, first, levels);
    Products products = multiply_signed(values, most, weights, first);
    float scale = products.with_levels != 0.0F ? products.with_values / products.with_levels : 0.0F;
    float best = scale * products.with_values;
    for (int step = -9; step <= 9; ++step) {
        if (step == 0) {
            continue;
        }
        const float inverse =
            -(static_cast<float>(most) + 0.1F * static_cast<float>(step)) / extreme;
        products = multiply_signed(values, most, weights, inverse);
        if (products.with_levels > 0.0F &&
            products.with_values * products.with_values > best * products.with_levels) {
            store_signed(values, most, inverse, levels);
            scale = products.scale();
            best = scale * products.with_values;
        }
    }
    return scale;
}

float improve_signed(Values values, int most, Levels levels) {
    const float extreme = find_extreme(values);
    if (std::fabs(extreme) < smallest_group) {
        std::ranges::fill(levels, 0);
        return 0.0F;
    }
    const float inverse = static_cast<float>(-most) / extreme;
    Products products;
    for (std::size_t i = 0; i < values.size(); ++i) {
        levels[i] = round_signed(inverse * values[i], most);
        products.add(values[i] * values[i], values[i], levels[i]);
    }
    for (int pass = 0; pass < most_passes; ++pass) {
        bool has_changed = false;
        for (std::size_t i = 0; i < values.size(); ++i) {
            has_changed |= improve_level(
                values[i], values[i] * values[i], -most, most - 1, false, products, levels[i]);
        }
        if (!has_changed) {
            break;
        }
    }
    for (int& level : levels) {
        level += most;
    }
    return products.scale();
}

float search_positive(Values values, int most, Values weights, Levels levels) {
    const float largest = std::max(0.0F, std::ranges::max(values));
    if (largest < smallest_group) {
        std::ranges::fill(levels, 0);
        return 0.0F;
    }
    float inverse = static_cast<float>(most) / largest;
    float error = measure_error(values, weights, inverse, most);
    for (int step = -4; step <= 4; ++step) {
        if (step == 0) {
            continue;
        }
        const float other = (0.1F * static_cast<float>(step) + static_cast<float>(most)) / largest;
        if (const float other_error = measure_error(values, weights, other, most);
            other_error < error) {
            error = other_error;
            inverse = other;
        }
    }
    Products products;
    for (std::size_t i = 0; i < values.size(); ++i) {
        levels[i] = std::min(most, round_to_even(inverse * values[i]));
        products.add(weights[i], values[i], levels[i]);
    }
    for (int pass = 0; pass < most_passes; ++pass) {
        bool has_changed = false;
        for (std::size_t i = 0; i < values.size(); ++i) {
            // No level of these values falls below 0.
            has_changed |=
                improve_level(values[i], weights[i], -most, most, true, products, levels[i]);
        }
        if (!has_changed) {
            break;
        }
    }
    return products.scale();
}

ScaleFit search_range(Values values, Values weights, const RangeSearch& search, Levels levels) {
    // Not std::min with 0, which would lose the sign of -0.
    float min = std::ranges::min(values);
    min = min > 0.0F ? 0.0F : min;
    const float max = std::ranges::max(values);
    if (max <= min) {
        std::ranges::fill(levels, 0);
        return {.scale = 0.0F, .min = -min};
    }
    const float width = max - min;
    const auto most = static_cast<float>(search.most);
    const RangeTrial trial(values, weights, search);
    const float first = most / width;
    float scale = 1.0F / first;
    trial.set_levels(first, min, levels);
    float error = trial.measure(scale, min, levels);
    std::array<int, most_values> storage{};
    const Levels tried = Levels(storage).first(values.size());
    // Each step starts from the minimum found so far; the largest value stays.
    for (int i = 0; i <= search.steps; ++i) {
        const float inverse =
            (search.first + search.step * static_cast<float>(i) + most) / (max - min);
        trial.set_levels(inverse, min, tried);
        float tried_scale = 0.0F;
        float tried_min = 0.0F;
        if (!trial.fit(tried, tried_scale, tried_min)) {
            continue;
        }
        if (const float tried_error = trial.measure(tried_scale, tried_min, tried);
            tried_error < error) {
            std::ranges::copy(tried, levels.begin());
            error = tried_error;
            scale = tried_scale;
            min = tried_min;
        }
    }
    return {.scale = scale, .min = -min};
}

}  // namespace anamnesis::blocks
