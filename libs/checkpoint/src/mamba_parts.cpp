// SPDX-License-Identifier: Apache-2.0
#include "mamba_parts.hpp"

#include <cstdint>
#include <limits>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Transformers writes infinity as {"__float__": "Infinity"}; Python's bare word reads as null.
double read_limit(const Json& value, double fallback) {
    constexpr std::string_view what = "config key 'time_step_limit'";
    if (value.is_null()) {
        return fallback;
    }
    if (!value.is_object()) {
        return number_from(value, what);
    }
    const std::string& word = value.at("__float__").as_string(what);
    if (word != "Infinity") {
        throw Error(ErrorKind::malformed,
                    format("{} is {}, expected a number or \"Infinity\"", what, in_quotes(word)));
    }
    return std::numeric_limits<double>::infinity();
}

}  // namespace

std::uint32_t read_size_or_auto(const ConfigReader& config,
                                std::string_view key,
                                std::uint32_t automatic) {
    const Json* value = config.find(key);
    const bool is_auto =
        value == nullptr || (value->is_string() && value->as_string(key) == "auto");
    return check_size(is_auto ? automatic : config.count(key, automatic), key);
}

Mamba2Spec read_mamba2(const ConfigReader& config,
                       const Blueprint& blueprint,
                       std::uint32_t inner) {
    const std::uint32_t width =
        inner != 0 ? inner : read_size(config, "mamba_expand", 2) * blueprint.hidden_size;
    const std::uint32_t heads = read_size(config, "mamba_n_heads", 128);
    const bool has_bias = config.flag("mamba_proj_bias", false);
    Mamba2Spec spec{.heads = heads,
                    .head_dim = read_size_or_auto(config, "mamba_d_head", width / heads),
                    .groups = read_size(config, "mamba_n_groups", 1),
                    .state_size = read_size(config, "mamba_d_state", 256),
                    .conv_width = read_size(config, "mamba_d_conv", 4),
                    .has_conv_bias = config.flag("mamba_conv_bias", true),
                    .has_input_bias = has_bias,
                    .has_output_bias = has_bias,
                    .norm_eps = blueprint.norm_eps};
    read_step_limits(config, spec);
    check_mamba2(spec, width);
    return spec;
}

void check_mamba2(const Mamba2Spec& spec, std::uint32_t inner) {
    if (std::uint64_t{spec.heads} * spec.head_dim != inner) {
        throw Error(ErrorKind::malformed,
                    format("{} Mamba heads of {} do not make the inner width {}",
                           spec.heads,
                           spec.head_dim,
                           inner));
    }
    if (spec.heads % spec.groups != 0) {
        throw Error(
            ErrorKind::malformed,
            format("{} Mamba heads cannot lie in {} equal groups", spec.heads, spec.groups));
    }
}

void read_step_limits(const ConfigReader& config, Mamba2Spec& spec) {
    const Json* limits = config.find("time_step_limit");
    if (limits == nullptr) {
        return;
    }
    constexpr std::string_view what = "config key 'time_step_limit'";
    const auto& both = limits->as_array(what);
    if (both.size() != 2) {
        throw Error(ErrorKind::malformed,
                    format("{} has {} elements, expected 2", what, both.size()));
    }
    spec.least_step = read_limit(both[0], spec.least_step);
    spec.greatest_step = read_limit(both[1], spec.greatest_step);
}

void read_step_floor(const ConfigReader& config, Mamba2Spec& spec) {
    spec.least_step = config.find_number("time_step_min").value_or(0.001);
}

}  // namespace anamnesis::checkpoint
