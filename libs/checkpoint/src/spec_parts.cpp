// SPDX-License-Identifier: Apache-2.0
#include "spec_parts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {
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

std::optional<RotarySettings> make_rotary_settings(const Blueprint& blueprint) {
    if (blueprint.rotary.pairs == RotaryLayout::Pairs::none || blueprint.rotary.dimensions == 0) {
        return std::nullopt;
    }
    return RotarySettings{.dimensions = blueprint.rotary.dimensions,
                          .theta = blueprint.position.rope_theta.value_or(10'000.0),
                          .scaling = blueprint.position.rope_scaling,
                          .context_length = blueprint.context_length};
}

AttentionSpec make_attention(const Blueprint& blueprint) {
    if (!blueprint.heads) {
        throw Error(ErrorKind::malformed, "nothing tells how many attention heads the model has");
    }
    AttentionSpec attention{.heads = *blueprint.heads,
                            .rotary = make_rotary_settings(blueprint),
                            .qk_norm = blueprint.qk_norm,
                            .logit_scale = blueprint.position.attention_scale};
    const auto fused =
        std::ranges::find(blueprint.softmax.tensors, role::query_key_value, &TensorRule::role);
    if (fused != blueprint.softmax.tensors.end()) {
        attention.fused = fused->layout;
    }
    return attention;
}

Activation read_activation(const ConfigReader& config, std::string_view key, Activation fallback) {
    constexpr std::array<std::pair<std::string_view, Activation>, 8> words{
        {{"silu", Activation::silu},
         {"swish", Activation::silu},
         {"gelu", Activation::gelu},
         {"gelu_python", Activation::gelu},
         {"gelu_pytorch_tanh", Activation::gelu_tanh},
         {"gelu_new", Activation::gelu_tanh},
         {"gelu_fast", Activation::gelu_tanh},
         {"relu2", Activation::squared_relu}}};
    const std::optional<std::string> word = config.find_word(key);
    if (!word) {
        return fallback;
    }
    const auto* const found =
        std::ranges::find(words, *word, [](const auto& entry) { return entry.first; });
    if (found == words.end()) {
        throw Error(ErrorKind::unsupported,
                    format("{} is {}, which does not run here; silu, gelu, gelu_pytorch_tanh and "
                           "relu2 do",
                           key,
                           in_quotes(*word)));
    }
    return found->second;
}

std::optional<double> read_softcap(const ConfigReader& config,
                                   std::string_view key,
                                   double fallback) {
    if (config.is_null(key)) {
        return std::nullopt;
    }
    const double cap = config.find_number(key).value_or(fallback);
    if (!(cap > 0.0) || !std::isfinite(cap)) {
        throw Error(ErrorKind::malformed,
                    format("config key {} is {}, expected a number above 0", in_quotes(key), cap));
    }
    return cap;
}

void expect_silu_in_mixers(const ConfigReader& config, std::string_view key) {
    if (read_activation(config, key) != Activation::silu) {
        throw Error(
            ErrorKind::unsupported,
            format("{} is neither silu nor swish, and the linear layers of this family take "
                   "it: that does not run here",
                   key));
    }
}

DenseSpec read_dense(const ConfigReader& config, std::uint32_t default_width) {
    return {.width = read_size(config, "intermediate_size", default_width),
            .activation = read_activation(config),
            .has_biases = config.flag("mlp_bias", false)};
}

std::uint32_t read_expert_count(const ConfigReader& config, std::uint32_t fallback) {
    for (const std::string_view key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
        if (config.has(key)) {
            return read_size(config, key, fallback);
        }
    }
    return check_size(fallback, "num_experts");
}

std::uint32_t read_experts_per_token(const ConfigReader& config,
                                     std::uint32_t experts,
                                     std::uint32_t fallback) {
    for (const std::string_view key :
         {"num_experts_per_tok", "num_experts_per_token", "experts_per_token"}) {
        if (!config.has(key)) {
            continue;
        }
        const std::uint32_t count = read_size(config, key, fallback);
        if (count > experts) {
            throw Error(
                ErrorKind::malformed,
                format("config key {} is {}, of {} experts", in_quotes(key), count, experts));
        }
        return count;
    }
    return std::min(check_size(fallback, "num_experts_per_tok"), experts);
}

void check_groups(const RouterSpec& router, std::uint32_t experts) {
    if (experts % router.groups != 0 || router.kept_groups > router.groups) {
        throw Error(ErrorKind::malformed,
                    format("{} experts cannot lie in {} groups of which {} are kept",
                           experts,
                           router.groups,
                           router.kept_groups));
    }
}

RouterSpec read_corrected_router(const ConfigReader& config,
                                 std::uint32_t experts,
                                 const GroupDefaults& defaults) {
    const RouterSpec router{
        .scores = RouterSpec::Scores::sigmoid,
        .is_corrected = true,
        .groups = read_size(
            config, config.has("n_group") ? "n_group" : "num_expert_group", defaults.groups),
        .kept_groups = read_size(config, "topk_group", defaults.kept_groups),
        .is_renormalised =
            config.flag(config.has("norm_topk_prob") ? "norm_topk_prob" : "moe_renormalize", true),
        .renormalisation = 1e-20,
        .scale = config.find_number("routed_scaling_factor").value_or(1.0)};
    check_groups(router, experts);
    return router;
}

MixtureSpec read_qwen_mixture(const ConfigReader& config, const QwenMixtureDefaults& defaults) {
    const Activation activation = read_activation(config);
    MixtureSpec spec{.experts = read_expert_count(config, defaults.experts),
                     .expert = {.width = read_size(config, "moe_intermediate_size", defaults.width),
                                .activation = activation},
                     .router = {.is_renormalised = defaults.is_renormalised}};
    spec.experts_per_token =
        read_experts_per_token(config, spec.experts, defaults.experts_per_token);
    if (defaults.shared_width != 0) {
        spec.shared = SharedExpertSpec{
            .dense = {.width = read_size(
                          config, "shared_expert_intermediate_size", defaults.shared_width),
                      .activation = activation},
            .is_weighted = true};
    }
    return spec;
}

FeedForwardSpec read_qwen_feed_forward(const ConfigReader& config,
                                       std::uint32_t layer,
                                       const QwenMixtureDefaults& defaults) {
    const auto dense_only =
        config.find_counts("mlp_only_layers").value_or(std::vector<std::uint32_t>{});
    const std::string_view key = config.has("num_experts") ? "num_experts" : "num_local_experts";
    const bool has_experts = config.count(key, defaults.experts) > 0 &&
                             (layer + 1) % read_size(config, "decoder_sparse_step", 1) == 0 &&
                             std::ranges::count(dense_only, layer) == 0;
    if (has_experts) {
        return read_qwen_mixture(config, defaults);
    }
    return read_dense(config, defaults.dense_width);
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
