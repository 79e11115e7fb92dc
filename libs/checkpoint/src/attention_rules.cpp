// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::uint32_t most_heads = 65'535;

void add_weight_and_bias(Blueprint& blueprint,
                         const std::string& module,
                         const RowLayout& layout,
                         std::uint64_t columns,
                         Presence bias,
                         std::string_view role = {}) {
    blueprint.softmax.tensors.push_back(
        {.name = in_layer(module + ".weight"),
         .group = AttentionGroup::weight,
         .layout = layout,
         .columns = columns == 0 ? std::nullopt : std::optional<std::uint64_t>(columns),
         .role = std::string(role)});
    blueprint.softmax.tensors.push_back(
        {.name = in_layer(module + ".bias"),
         .group = AttentionGroup::bias,
         .layout = layout,
         .columns = {},
         .presence = bias,
         .role = role.empty() ? std::string() : role::to_bias_role(role)});
}

RowLayout heads_in_turn(RowRole role, std::uint32_t heads, std::uint32_t head_dim) {
    return {.segments = {{.role = role, .rows = head_dim, .heads = heads}}};
}

}  // namespace

std::uint32_t read_hidden_size(const ConfigReader& config, std::uint32_t fallback) {
    for (const std::string_view key : {"hidden_size", "n_embed", "n_embd"}) {
        if (const auto size = config.find_count(key)) {
            return *size;
        }
    }
    return fallback;
}

HeadLayout check_heads(HeadLayout heads) {
    if (heads.query_heads == 0 || heads.kv_heads == 0 || heads.head_dim == 0 ||
        heads.query_heads > most_heads || heads.query_heads % heads.kv_heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("config.json describes impossible heads: {} query heads, {} key-value "
                           "heads, {} rows each",
                           heads.query_heads,
                           heads.kv_heads,
                           heads.head_dim));
    }
    return heads;
}

HeadLayout read_heads(const ConfigReader& config, const HeadDefaults& defaults) {
    HeadLayout heads;
    heads.query_heads = defaults.query_heads != 0
                            ? config.count("num_attention_heads", defaults.query_heads)
                            : config.first_count({"num_attention_heads", "n_head"});
    heads.kv_heads = config.count("num_key_value_heads",
                                  defaults.kv_heads != 0 ? defaults.kv_heads : heads.query_heads);
    const std::uint32_t hidden = read_hidden_size(config, defaults.hidden_size);
    const std::uint32_t derived = defaults.head_dim != 0 || heads.query_heads == 0
                                      ? defaults.head_dim
                                      : hidden / heads.query_heads;
    heads.head_dim = config.count("head_dim", derived);
    return check_heads(heads);
}

std::string in_layer(std::string_view part) {
    return format("layers.{{layer}}.{}", part);
}

void add(Blueprint& blueprint, const SeparateProjections& projections) {
    RowLayout query = RowLayout::all(RowRole::query);
    RowLayout key = RowLayout::all(RowRole::key);
    RowLayout value = RowLayout::all(RowRole::value);
    if (const auto& heads = projections.heads) {
        query = heads_in_turn(RowRole::query, heads->query_heads, heads->head_dim);
        key = heads_in_turn(RowRole::key, heads->kv_heads, heads->head_dim);
        value = heads_in_turn(RowRole::value, heads->kv_heads, heads->head_dim);
        if (projections.query_rows == QueryRows::with_gates) {
            query = {.segments = {{.role = RowRole::query, .rows = heads->head_dim, .heads = 1},
                                  {.role = RowRole::gate, .rows = heads->head_dim, .heads = 1}},
                     .repeat = heads->query_heads};
        }
    }
    for (const auto& [name, role, layout] : {std::tuple{projections.query, role::query, &query},
                                             std::tuple{projections.key, role::key, &key},
                                             std::tuple{projections.value, role::value, &value}}) {
        add_weight_and_bias(blueprint,
                            format("{}.{}", projections.module, name),
                            *layout,
                            projections.columns,
                            projections.bias,
                            role);
    }
}

void add(Blueprint& blueprint, const QkNorms& norms) {
    blueprint.qk_norm = norms.kind;
    for (const auto& [name, rows] :
         {std::pair{norms.query, RowRole::query}, std::pair{norms.key, RowRole::key}}) {
        RowLayout layout = RowLayout::all(rows);
        if (blueprint.heads) {
            const HeadLayout& heads = *blueprint.heads;
            const std::uint64_t width = norms.kind != QkNorm::full_width ? 1
                                        : rows == RowRole::query         ? heads.query_heads
                                                                         : heads.kv_heads;
            layout.segments.front().rows = width * heads.head_dim;
        }
        blueprint.softmax.tensors.push_back(
            {.name = in_layer(format("{}.{}.weight", norms.module, name)),
             .group = AttentionGroup::norm,
             .layout = layout,
             .role = std::string(rows == RowRole::query ? role::query_norm : role::key_norm)});
    }
}

void add(Blueprint& blueprint, const FusedProjection& projection) {
    add_weight_and_bias(blueprint,
                        std::string(projection.module),
                        projection.layout,
                        projection.columns,
                        projection.bias,
                        role::query_key_value);
}

RowLayout make_query_key_value_blocks(const HeadLayout& heads) {
    return {
        .segments = {{.role = RowRole::query, .rows = heads.head_dim, .heads = heads.query_heads},
                     {.role = RowRole::key, .rows = heads.head_dim, .heads = heads.kv_heads},
                     {.role = RowRole::value, .rows = heads.head_dim, .heads = heads.kv_heads}}};
}

RowLayout group_by_kv_head(const HeadLayout& heads) {
    return {.segments = {{.role = RowRole::query,
                          .rows = heads.head_dim,
                          .heads = heads.query_heads / heads.kv_heads},
                         {.role = RowRole::key, .rows = heads.head_dim, .heads = 1},
                         {.role = RowRole::value, .rows = heads.head_dim, .heads = 1}},
            .repeat = heads.kv_heads};
}

LatentAttention read_latent_attention(const ConfigReader& config, std::string_view module) {
    // The defaults are those of transformers for DeepSeek, Kimi and Ling alike.
    LatentAttention attention{
        .module = module,
        .heads = config.first_count({"num_attention_heads"}),
        .nope_dim = config.count("qk_nope_head_dim", 128),
        .rope_dim = config.count("qk_rope_head_dim", 64),
        .value_dim = config.count("v_head_dim", 128),
        .kv_rank = config.count("kv_lora_rank", 512),
        .query_rank = config.find_count("q_lora_rank"),
        .hidden_size = read_hidden_size(config),
        .bias = config.flag("attention_bias", false) ? Presence::required : Presence::absent};
    if (attention.nope_dim == 0 || attention.rope_dim == 0 || attention.value_dim == 0 ||
        attention.kv_rank == 0 || attention.query_rank == 0U) {
        throw Error(ErrorKind::malformed, "config.json describes latent attention of width 0");
    }
    return attention;
}

void add(Blueprint& blueprint, const LatentAttention& attention) {
    const std::uint32_t head_rows = attention.nope_dim + attention.rope_dim;
    blueprint.heads = check_heads(
        {.query_heads = attention.heads, .kv_heads = attention.heads, .head_dim = head_rows});
    const auto named = [&](std::string_view name) {
        return format("{}.{}", attention.module, name);
    };
    const RowLayout query = heads_in_turn(RowRole::query, attention.heads, head_rows);
    const std::uint64_t hidden = attention.hidden_size;
    if (attention.query_rank) {
        const RowLayout low{.segments = {{.role = RowRole::query, .rows = *attention.query_rank}}};
        add_weight_and_bias(
            blueprint, named("q_a_proj"), low, hidden, attention.bias, role::query_input);
        blueprint.softmax.tensors.push_back({.name = in_layer(named("q_a_layernorm.weight")),
                                             .group = AttentionGroup::norm,
                                             .layout = low,
                                             .role = std::string(role::query_input_norm)});
        add_weight_and_bias(blueprint,
                            named("q_b_proj"),
                            query,
                            *attention.query_rank,
                            Presence::absent,
                            role::query);
    } else {
        add_weight_and_bias(
            blueprint, named("q_proj"), query, hidden, Presence::absent, role::query);
    }
    const RowLayout compressed{.segments = {{.role = RowRole::latent, .rows = attention.kv_rank},
                                            {.role = RowRole::key, .rows = attention.rope_dim}}};
    add_weight_and_bias(
        blueprint, named("kv_a_proj_with_mqa"), compressed, hidden, attention.bias, role::latent);
    blueprint.softmax.tensors.push_back(
        {.name = in_layer(named("kv_a_layernorm.weight")),
         .group = AttentionGroup::norm,
         .layout = {.segments = {{.role = RowRole::latent, .rows = attention.kv_rank}}},
         .role = std::string(role::latent_norm)});
    const RowLayout expanded{
        .segments = {{.role = RowRole::key, .rows = attention.nope_dim, .heads = 1},
                     {.role = RowRole::value, .rows = attention.value_dim, .heads = 1}},
        .repeat = attention.heads};
    add_weight_and_bias(blueprint,
                        named("kv_b_proj"),
                        expanded,
                        attention.kv_rank,
                        Presence::absent,
                        role::key_value);
}

}  // namespace anamnesis::checkpoint
