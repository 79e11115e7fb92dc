// SPDX-License-Identifier: Apache-2.0
#include "rotary_spec.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/rotary_settings.hpp"

namespace anamnesis::runtime {
namespace {

std::optional<double> find_number(const Json& scaling, std::string_view key) {
    const Json* value = scaling.find(key);
    return value == nullptr || value->is_null()
               ? std::nullopt
               : std::optional(checkpoint::number_from(*value, key));
}

double positive(const Json& scaling, std::string_view key, std::optional<double> fallback = {}) {
    const std::optional<double> stated = find_number(scaling, key);
    const std::optional<double> number = stated ? stated : fallback;
    if (!number || !(*number > 0.0) || !std::isfinite(*number)) {
        throw Error(ErrorKind::malformed,
                    format("rope_scaling needs {} to be a positive number", in_quotes(key)));
    }
    return *number;
}

void scale_linearly(RotarySpec& spec, const Json& scaling) {
    const double factor = positive(scaling, "factor");
    for (double& frequency : spec.frequencies) {
        frequency /= factor;
    }
}

void scale_as_llama3(RotarySpec& spec, const checkpoint::RotarySettings& settings) {
    const Json& scaling = settings.scaling;
    const double factor = positive(scaling, "factor");
    const double low = positive(scaling, "low_freq_factor");
    const double high = positive(scaling, "high_freq_factor");
    const double original = positive(
        scaling, "original_max_position_embeddings", static_cast<double>(settings.context_length));
    for (double& frequency : spec.frequencies) {
        const double turns = original * frequency / (2.0 * std::numbers::pi);
        const double kept =
            high > low ? std::clamp((turns - low) / (high - low), 0.0, 1.0) : (turns > low ? 1 : 0);
        frequency = (1.0 - kept) * frequency / factor + kept * frequency;
    }
}

/// The pair that turns `turns` times over the original context.
double pair_that_turns(double turns, const checkpoint::RotarySettings& settings, double original) {
    return settings.dimensions * std::log(original / (turns * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(settings.theta));
}

double yarn_magnitude(double factor, double slope) {
    return factor <= 1.0 ? 1.0 : 0.1 * slope * std::log(factor) + 1.0;
}

void scale_as_yarn(RotarySpec& spec, const checkpoint::RotarySettings& settings) {
    const Json& scaling = settings.scaling;
    const double factor = positive(scaling, "factor");
    const double original = positive(
        scaling, "original_max_position_embeddings", static_cast<double>(settings.context_length));
    double first = pair_that_turns(positive(scaling, "beta_fast", 32.0), settings, original);
    double last = pair_that_turns(positive(scaling, "beta_slow", 1.0), settings, original);
    const Json* truncate = scaling.find("truncate");
    if (truncate == nullptr || truncate->as_boolean("rope_scaling truncate")) {
        first = std::floor(first);
        last = std::ceil(last);
    }
    first = std::max(first, 0.0);
    last = std::min(last, settings.dimensions - 1.0);
    const double width = last == first ? 0.001 : last - first;
    for (std::size_t j = 0; j < spec.frequencies.size(); ++j) {
        const double stretched = std::clamp((static_cast<double>(j) - first) / width, 0.0, 1.0);
        spec.frequencies[j] *= stretched / factor + (1.0 - stretched);
    }
    const std::optional<double> slope = find_number(scaling, "mscale");
    const std::optional<double> slope_all = find_number(scaling, "mscale_all_dim");
    if (const auto stated = find_number(scaling, "attention_factor")) {
        spec.magnitude = *stated;
    } else if (slope && slope_all && *slope != 0.0 && *slope_all != 0.0) {
        spec.magnitude = yarn_magnitude(factor, *slope) / yarn_magnitude(factor, *slope_all);
    } else {
        spec.magnitude = yarn_magnitude(factor, 1.0);
    }
}

/// A factor for every pair: those for texts beyond the original context where the model's context
/// is longer than that, as servers that hold the whole context take them.
/// Source: Ding et al. 2024, "LongRoPE"; transformers 5.23, modeling_rope_utils.py.
void scale_as_longrope(RotarySpec& spec, const checkpoint::RotarySettings& settings) {
    const Json& scaling = settings.scaling;
    const double context = settings.context_length;
    const double original = positive(scaling, "original_max_position_embeddings", context);
    const bool is_long = context > original;
    const std::string_view key = is_long ? "long_factor" : "short_factor";
    const Json* factors = scaling.find(key);
    if (factors == nullptr || factors->as_array(key).size() != spec.frequencies.size()) {
        throw Error(ErrorKind::malformed,
                    format("rope_scaling needs {} to list {} numbers",
                           in_quotes(key),
                           spec.frequencies.size()));
    }
    for (std::size_t j = 0; j < spec.frequencies.size(); ++j) {
        spec.frequencies[j] /= checkpoint::number_from(factors->as_array(key)[j], key);
    }
    const double stretch = find_number(scaling, "factor").value_or(context / original);
    spec.magnitude =
        find_number(scaling, is_long ? "long_mscale" : "short_mscale")
            .value_or(find_number(scaling, "attention_factor")
                          .value_or(stretch <= 1.0
                                        ? 1.0
                                        : std::sqrt(1.0 + std::log(stretch) / std::log(original))));
}

/// The pairs after the stated share do not turn.
void scale_proportionally(RotarySpec& spec, const Json& scaling) {
    const double share = find_number(scaling, "partial_rotary_factor").value_or(1.0);
    const double factor = positive(scaling, "factor", 1.0);
    if (!(share >= 0.0) || share > 1.0) {
        throw Error(ErrorKind::malformed,
                    format("'partial_rotary_factor' is {}, expected a share from 0 to 1", share));
    }
    const double turning = std::floor(share * spec.dimensions / 2.0);
    for (std::size_t j = 0; j < spec.frequencies.size(); ++j) {
        spec.frequencies[j] = static_cast<double>(j) < turning ? spec.frequencies[j] / factor : 0.0;
    }
}

std::string scaling_name(const Json& scaling) {
    for (const std::string_view key : {"rope_type", "type"}) {
        if (const Json* value = scaling.find(key); value != nullptr && value->is_string()) {
            return value->as_string(key);
        }
    }
    return "default";
}

}  // namespace

RotarySpec make_rotary(const checkpoint::RotarySettings& settings) {
    if (settings.dimensions % 2 != 0 || !(settings.theta > 0.0)) {
        throw Error(ErrorKind::malformed,
                    format("rotary encoding of {} rows with theta {}: expected an even number of "
                           "rows and a positive theta",
                           settings.dimensions,
                           settings.theta));
    }
    RotarySpec spec{.dimensions = settings.dimensions};
    for (std::uint32_t j = 0; j < settings.dimensions; j += 2) {
        spec.frequencies.push_back(
            std::pow(settings.theta, -static_cast<double>(j) / settings.dimensions));
    }
    const std::string name = scaling_name(settings.scaling);
    if (name == "linear") {
        scale_linearly(spec, settings.scaling);
    } else if (name == "llama3") {
        scale_as_llama3(spec, settings);
    } else if (name == "yarn") {
        scale_as_yarn(spec, settings);
    } else if (name == "longrope" || name == "su") {
        scale_as_longrope(spec, settings);
    } else if (name == "proportional") {
        scale_proportionally(spec, settings.scaling);
    } else if (name != "default") {
        throw Error(
            ErrorKind::unsupported,
            format("rope_scaling of type {} is not supported; default, linear, llama3, yarn, "
                   "longrope and proportional are",
                   in_quotes(name)));
    }
    return spec;
}

}  // namespace anamnesis::runtime
