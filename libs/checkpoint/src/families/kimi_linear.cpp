// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "latent_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Kimi's own list counts layers from 1; transformers 5 writes `layer_types` instead; with neither,
/// every fourth layer but the first.
std::vector<Layer> read_kimi_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    const std::uint32_t count = read_layer_count(config);
    const Json* linear = config.find("linear_attn_config");
    const Json* full = linear == nullptr ? nullptr : linear->find("full_attn_layers");
    if (full == nullptr || full->is_null()) {
        return make_layers(count, [](std::uint32_t layer) {
            return Kinds{layer > 0 && layer % 4 == 0 ? LayerKind::mla : LayerKind::linear};
        });
    }
    auto layers = make_uniform_layers(count, LayerKind::linear);
    for (const Json& element : full->as_array("full_attn_layers")) {
        const std::uint32_t number = count_from(element, "full_attn_layers");
        if (number == 0 || number > count) {
            throw Error(
                ErrorKind::malformed,
                format("full_attn_layers counts layers from 1 to {}, but names {}", count, number));
        }
        layers[number - 1].kinds = {LayerKind::mla};
    }
    return layers;
}

/// A key of `linear_attn_config` or, as transformers 5 writes it, one of its own.
std::uint32_t read_linear_size(const ConfigReader& config,
                               std::string_view nested,
                               std::string_view flat,
                               std::uint32_t fallback) {
    const Json* linear = config.find("linear_attn_config");
    const Json* value = linear == nullptr ? nullptr : linear->find(nested);
    return value == nullptr || value->is_null() ? read_size(config, flat, fallback)
                                                : check_size(count_from(*value, nested), nested);
}

KimiDeltaSpec read_kimi_delta(const ConfigReader& config, double norm_eps) {
    const std::uint32_t head_dim = read_linear_size(config, "head_dim", "linear_head_dim", 128);
    return {.heads = read_linear_size(config, "num_heads", "linear_num_heads", 32),
            .head_dim = head_dim,
            .conv_width =
                read_linear_size(config, "short_conv_kernel_size", "linear_conv_kernel_dim", 4),
            .gate_rank = head_dim,
            .norm_eps = norm_eps};
}

/// Kimi K3 and others share the model_type.
void refuse_other_models(const ConfigReader& config) {
    const Json* linear = config.find("linear_attn_config");
    const auto refuse = [](std::string_view key) {
        throw Error(ErrorKind::unsupported,
                    format("config key {} is not Kimi Linear's: such models do not run here",
                           in_quotes(key)));
    };
    const Json* gate = linear == nullptr ? nullptr : linear->find("use_full_rank_gate");
    if (gate != nullptr && gate->is_boolean() && gate->as_boolean("use_full_rank_gate")) {
        refuse("use_full_rank_gate");
    }
    for (const std::string_view key : {"routed_expert_hidden_size", "attn_res_block_size"}) {
        if (config.has(key)) {
            refuse(key);
        }
    }
    if (!config.flag("mla_use_nope", true)) {
        throw Error(ErrorKind::unsupported,
                    "Kimi Linear with 'mla_use_nope' false does not run here: its softmax layers "
                    "have no rotary encoding");
    }
    if (const auto word = config.find_word("moe_router_activation_func");
        word && *word != "sigmoid") {
        throw Error(ErrorKind::unsupported,
                    format("'moe_router_activation_func' is {}, which does not run here; sigmoid "
                           "does",
                           in_quotes(*word)));
    }
}

MixtureSpec read_experts(const ConfigReader& config) {
    MixtureSpec spec =
        read_latent_mixture(config, {.experts = 256, .experts_per_token = 8, .width = 1024});
    spec.router = read_corrected_router(config, spec.experts);
    spec.router.scale = config.find_number("routed_scaling_factor").value_or(2.446);
    if (!config.flag("use_grouped_topk", true)) {
        spec.router.groups = 1;
        spec.router.kept_groups = 1;
    }
    spec.names = {.gate = "w1", .up = "w3", .down = "w2"};
    return spec;
}

void plan_kimi_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    refuse_other_models(config);
    blueprint.norm_eps = config.find_number("rms_norm_eps").value_or(1e-5);
    blueprint.context_length = config.count("model_max_length", blueprint.context_length);
    const LatentAttentionSpec latent =
        make_latent_attention(blueprint, read_latent_attention(config, "self_attn"));
    const KimiDeltaSpec delta = read_kimi_delta(config, blueprint.norm_eps);
    const DenseSpec dense = read_dense(config, 9216);
    const MixtureSpec experts = read_experts(config);
    const std::vector<bool> sparse = find_sparse_layers(config, blueprint.layers.size(), 1);
    plan_body(blueprint, [&](const Layer& layer) {
        LayerPlan plan;
        plan.spec.mixer = is_only(layer, LayerKind::mla) ? MixerSpec(latent) : MixerSpec(delta);
        if (sparse[layer.index.value]) {
            plan.spec.feed_forward = experts;
            plan.feed_forward =
                make_mixture_module("block_sparse_moe", "gate.e_score_correction_bias");
        } else {
            plan.spec.feed_forward = dense;
            // transformers 5.23 writes dense layers under the name of the others.
            plan.feed_forward.other_names = {"block_sparse_moe"};
        }
        return plan;
    });
}

void plan_kimi_attention(Blueprint& blueprint, const ConfigReader& config) {
    add(blueprint, read_latent_attention(config, "self_attn"));
    add_no_rotary(blueprint);
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.softmax_only = {in_layer("self_attn.kv_b_proj.weight"),
                                      in_layer("self_attn.kv_a_proj_with_mqa.weight")};
    blueprint.softmax.mixer_only = {in_layer("self_attn.k_proj.weight"),
                                    in_layer("self_attn.A_log"),
                                    in_layer("self_attn.q_conv1d.weight")};
}

}  // namespace

namespace families {

Family kimi_linear() {
    return {.name = "kimi_linear",
            .model_types = {"kimi_linear"},
            .evidence = verified,
            .read_layers = read_kimi_layers,
            .plan_attention = plan_kimi_attention,
            .plan_layers = plan_kimi_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
