// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> all_full(const ConfigReader& config) {
    return layers_all(layer_count(config), LayerKind::full);
}

std::vector<Layer> phi3_layers(const ConfigReader& config) {
    return layers_all(layer_count(config),
                      config.has("sliding_window") ? LayerKind::sliding : LayerKind::full);
}

void describe_phi3(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = heads_from(config);
    add(blueprint,
        FusedProjection{.layout = query_key_value_blocks(*blueprint.heads),
                        .columns = hidden_size_of(config)});
    add_rotary(blueprint, config);
}

void describe_gpt_neox(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = heads_from(config);
    add(blueprint,
        FusedProjection{
            .module = "attention.query_key_value",
            .layout = grouped_by_kv_head(*blueprint.heads),
            .columns = hidden_size_of(config),
            .bias = config.flag("attention_bias", true) ? Presence::required : Presence::absent});
    add_rotary(blueprint, config, {.partial_factor = 0.25});
}

/// Falcon, BLOOM and StarCoder say `transformer.h.{l}.`, which no other family here does.
void add_transformer_h(Blueprint& blueprint, const FusedProjection& projection) {
    add(blueprint, projection);
    for (TensorRule& rule : blueprint.rules) {
        rule.name.replace(0, std::string_view("layers.").size(), "h.");
    }
}

void describe_falcon(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("new_decoder_architecture", false)) {
        throw Error(ErrorKind::unsupported,
                    "falcon without new_decoder_architecture: the rows of its multi-query form are "
                    "not known here; describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads;
    heads.query_heads = config.first_count({"num_attention_heads", "n_head"});
    heads.kv_heads = config.first_count({"num_kv_heads", "n_head_kv"});
    heads.head_dim = config.count(
        "head_dim", heads.query_heads == 0 ? 0 : hidden_size_of(config) / heads.query_heads);
    blueprint.heads = checked_heads(heads);
    blueprint.is_tied_by_default = true;
    add_transformer_h(blueprint,
                      {.module = "self_attention.query_key_value",
                       .layout = grouped_by_kv_head(*blueprint.heads),
                       .columns = hidden_size_of(config),
                       .bias = config.flag("bias", false) ? Presence::required : Presence::absent});
    if (config.flag("alibi", false)) {
        add_no_rotary(blueprint);
    } else {
        add_rotary(blueprint, config);
    }
}

void describe_bloom(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = heads_from(config);
    blueprint.is_tied_by_default = true;
    add_transformer_h(blueprint,
                      {.module = "self_attention.query_key_value",
                       .layout = grouped_by_kv_head(*blueprint.heads),
                       .columns = hidden_size_of(config),
                       .bias = Presence::required});
    // ALiBi: distances act on the scores, no row is rotated.
    add_no_rotary(blueprint);
}

void describe_gpt_bigcode(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("multi_query", true)) {
        throw Error(ErrorKind::unsupported,
                    "gpt_bigcode without multi_query: the rows of this form are not known here; "
                    "describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads = heads_from(config);
    heads.kv_heads = 1;
    blueprint.heads = heads;
    blueprint.is_tied_by_default = true;
    add_transformer_h(blueprint,
                      {.module = "attn.c_attn",
                       .layout = query_key_value_blocks(heads),
                       .columns = hidden_size_of(config),
                       .bias = Presence::required});
    add_no_rotary(blueprint);
}

}  // namespace

std::span<const Architecture> fused_architectures() {
    static const std::array architectures{
        Architecture{"phi3", {"phi3"}, verified, phi3_layers, describe_phi3},
        Architecture{"gpt_neox", {"gpt_neox"}, verified, all_full, describe_gpt_neox},
        Architecture{"falcon", {"falcon"}, from_memory, all_full, describe_falcon},
        Architecture{"bloom", {"bloom"}, from_memory, all_full, describe_bloom},
        Architecture{"gpt_bigcode", {"gpt_bigcode"}, from_memory, all_full, describe_gpt_bigcode},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
