// SPDX-License-Identifier: Apache-2.0
#include "spec_parts.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

namespace anamnesis::checkpoint {
namespace {

std::optional<RotarySettings> make_rotary_settings(const Blueprint& blueprint) {
    if (blueprint.rotary.pairs == RotaryLayout::Pairs::none || blueprint.rotary.dimensions == 0) {
        return std::nullopt;
    }
    return RotarySettings{.dimensions = blueprint.rotary.dimensions,
                          .theta = blueprint.position.rope_theta.value_or(10'000.0),
                          .scaling = blueprint.position.rope_scaling,
                          .context_length = blueprint.context_length};
}

}  // namespace

std::uint32_t check_size(std::uint32_t value, std::string_view key) {
    if (value == 0) {
        throw Error(ErrorKind::malformed,
                    format("config key {} is 0, expected at least 1", in_quotes(key)));
    }
    return value;
}

std::uint32_t read_size(const ConfigReader& config, std::string_view key, std::uint32_t fallback) {
    return check_size(config.count(key, fallback), key);
}

std::optional<std::uint32_t> read_window(const ConfigReader& config) {
    for (const std::string_view key : {"sliding_window", "window_size"}) {
        if (const auto window = config.find_count(key)) {
            return check_size(*window, key);
        }
    }
    return std::nullopt;
}

AttentionSpec make_attention(const Blueprint& blueprint) {
    if (!blueprint.heads) {
        throw Error(ErrorKind::malformed, "nothing tells how many attention heads the model has");
    }
    return {.heads = *blueprint.heads,
            .rotary = make_rotary_settings(blueprint),
            .qk_norm = blueprint.qk_norm};
}

DenseSpec read_dense(const ConfigReader& config, std::uint32_t default_width) {
    return {.width = read_size(config, "intermediate_size", default_width)};
}

MixtureSpec read_mixture(const ConfigReader& config, const MixtureSpec& defaults) {
    const MixtureSpec spec{
        .experts = read_size(config, "num_experts", defaults.experts),
        .experts_per_token = read_size(config, "num_experts_per_tok", defaults.experts_per_token),
        .expert_width = read_size(config, "moe_intermediate_size", defaults.expert_width),
        .shared_width = read_size(config, "shared_expert_intermediate_size", defaults.shared_width),
        .is_renormalised = defaults.is_renormalised};
    if (spec.experts_per_token > spec.experts) {
        throw Error(ErrorKind::malformed,
                    format("config key 'num_experts_per_tok' is {}, of {} experts",
                           spec.experts_per_token,
                           spec.experts));
    }
    return spec;
}

GatedDeltaSpec read_gated_delta(const ConfigReader& config, DeltaProjections projections) {
    const GatedDeltaSpec spec{.key_heads = read_size(config, "linear_num_key_heads", 16),
                              .value_heads = read_size(config, "linear_num_value_heads", 32),
                              .key_dim = read_size(config, "linear_key_head_dim", 128),
                              .value_dim = read_size(config, "linear_value_head_dim", 128),
                              .conv_width = read_size(config, "linear_conv_kernel_dim", 4),
                              .projections = projections,
                              .norm_eps = config.find_number("rms_norm_eps").value_or(1e-6)};
    if (spec.value_heads % spec.key_heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("{} value heads cannot share {} key heads of linear layers",
                           spec.value_heads,
                           spec.key_heads));
    }
    return spec;
}

}  // namespace anamnesis::checkpoint
