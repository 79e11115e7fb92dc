// SPDX-License-Identifier: Apache-2.0
#include "gguf/blueprint.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "gguf/sizes.hpp"
#include "rotary.hpp"
#include "softmax_tensors.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

RowLayout heads_of(RowRole role, std::uint64_t rows, std::uint32_t heads) {
    return {.segments = {{.role = role, .rows = rows, .heads = heads}}};
}

/// The rules of one block, by the names that it has.
class BlockRules {
public:
    BlockRules(const GgufKeys& keys,
               const GgufArchitecture& architecture,
               const TensorNames& names,
               const HeadLayout& heads,
               std::uint32_t block)
        : keys_(keys), architecture_(architecture), names_(names), heads_(heads), block_(block) {}

    std::vector<TensorRule> make() {
        width_ = keys_.count("embedding_length");
        if (architecture_.has_latent_keys) {
            add_latent();
        } else if (!has("attn_q.weight") && has("attn_qkv.weight")) {
            add_with_bias("attn_qkv", make_fused(), {});
        } else {
            add_with_bias("attn_q", make_queries(), role::query);
            add_with_bias(
                "attn_k", heads_of(RowRole::key, heads_.head_dim, heads_.kv_heads), role::key);
            add_with_bias("attn_v",
                          heads_of(RowRole::value, find_value_width(), heads_.kv_heads),
                          role::value);
        }
        add_gains("attn_q_norm", RowRole::query, role::query_norm);
        add_gains("attn_k_norm", RowRole::key, role::key_norm);
        return std::move(rules_);
    }

private:
    const TensorEntry* find(std::string_view name) const {
        return names_.find(format("blk.{}.{}", block_, name));
    }
    bool has(std::string_view name) const { return find(name) != nullptr; }

    std::uint32_t find_value_width() const {
        return keys_.find_count("attention.value_length").value_or(heads_.head_dim);
    }

    RowLayout make_queries() const {
        if (!architecture_.has_query_gates) {
            return heads_of(RowRole::query, heads_.head_dim, heads_.query_heads);
        }
        return {.segments = {{.role = RowRole::query, .rows = heads_.head_dim, .heads = 1},
                             {.role = RowRole::gate, .rows = heads_.head_dim, .heads = 1}},
                .repeat = heads_.query_heads};
    }

    /// All queries (with their gates), all keys, all values.
    RowLayout make_fused() const {
        RowLayout layout;
        const RowLayout queries = make_queries();
        for (std::uint32_t i = 0; i < queries.repeat; ++i) {
            layout.segments.insert(
                layout.segments.end(), queries.segments.begin(), queries.segments.end());
        }
        layout.segments.push_back(
            {.role = RowRole::key, .rows = heads_.head_dim, .heads = heads_.kv_heads});
        layout.segments.push_back(
            {.role = RowRole::value, .rows = find_value_width(), .heads = heads_.kv_heads});
        return layout;
    }

    void add_weight(std::string_view name,
                    RowLayout layout,
                    std::uint64_t columns,
                    std::string_view role = {}) {
        rules_.push_back({.name = format("blk.{}.{}.weight", layer_slot, name),
                          .group = AttentionGroup::weight,
                          .layout = std::move(layout),
                          .columns = columns,
                          .role = std::string(role)});
    }

    void add_with_bias(std::string_view name, const RowLayout& layout, std::string_view role) {
        add_weight(name, layout, width_, role);
        rules_.push_back({.name = format("blk.{}.{}.bias", layer_slot, name),
                          .group = AttentionGroup::bias,
                          .layout = layout,
                          .presence = Presence::optional,
                          .role = role.empty() ? std::string() : role::to_bias_role(role)});
    }

    /// Gains of one head, or of all of them in a row.
    void add_gains(std::string_view name, RowRole rows, std::string_view role) {
        if (const TensorEntry* gains = find(format("{}.weight", name))) {
            rules_.push_back(
                {.name = format("blk.{}.{}.weight", layer_slot, name),
                 .group = AttentionGroup::norm,
                 .layout = {.segments = {{.role = rows, .rows = gains->rows(), .heads = 0}}},
                 .presence = Presence::optional,
                 .role = std::string(role)});
        }
    }

    void add_low_rank_gains(std::string_view name, RowRole rows, std::uint64_t count) {
        rules_.push_back({.name = format("blk.{}.{}.weight", layer_slot, name),
                          .group = AttentionGroup::norm,
                          .layout = {.segments = {{.role = rows, .rows = count, .heads = 0}}},
                          .presence = Presence::optional});
    }

    /// A stack with one matrix for each head, whose rows are not rows of the projection: a head is
    /// one row of it.
    void add_stack(std::string_view name, RowRole role, std::uint64_t rows, std::uint64_t columns) {
        add_weight(name, heads_of(role, 1, heads_.query_heads), 0);
        rules_.back().columns = std::nullopt;
        rules_.back().shape = {heads_.query_heads, rows, columns};
    }

    void add_latent() {
        const std::uint32_t rotated = keys_.count("rope.dimension_count");
        const std::uint32_t rank = keys_.count("attention.kv_lora_rank");
        const auto value = keys_.find_count("attention.value_length_mla");
        const std::uint32_t value_width = value ? *value : keys_.count("attention.value_length");
        if (rotated >= heads_.head_dim || rank == 0 || value_width == 0) {
            throw Error(ErrorKind::malformed,
                        format("the metadata describes latent attention of {} rows a head, {} of "
                               "them rotated, rank {} and {} values",
                               heads_.head_dim,
                               rotated,
                               rank,
                               value_width));
        }
        const std::uint32_t plain = heads_.head_dim - rotated;
        add_latent_queries();
        add_weight("attn_kv_a_mqa",
                   {.segments = {{.role = RowRole::latent, .rows = rank, .heads = 0},
                                 {.role = RowRole::key, .rows = rotated, .heads = 0}}},
                   width_);
        add_low_rank_gains("attn_kv_a_norm", RowRole::latent, rank);
        if (!has("attn_k_b.weight") && has("attn_kv_b.weight")) {
            add_weight("attn_kv_b",
                       {.segments = {{.role = RowRole::key, .rows = plain, .heads = 1},
                                     {.role = RowRole::value, .rows = value_width, .heads = 1}},
                        .repeat = heads_.query_heads},
                       rank);
            return;
        }
        add_stack("attn_k_b", RowRole::key, rank, plain);
        add_stack("attn_v_b", RowRole::value, value_width, rank);
    }

    void add_latent_queries() {
        const RowLayout queries = heads_of(RowRole::query, heads_.head_dim, heads_.query_heads);
        const TensorEntry* low = find("attn_q_a.weight");
        if (low == nullptr) {
            add_weight("attn_q", queries, width_);
            return;
        }
        const std::uint32_t rank = keys_.find_count("attention.q_lora_rank")
                                       .value_or(static_cast<std::uint32_t>(low->rows()));
        add_weight(
            "attn_q_a", {.segments = {{.role = RowRole::query, .rows = rank, .heads = 0}}}, width_);
        add_low_rank_gains("attn_q_a_norm", RowRole::query, rank);
        add_weight("attn_q_b", queries, rank);
    }

    const GgufKeys& keys_;
    const GgufArchitecture& architecture_;
    const TensorNames& names_;
    const HeadLayout& heads_;
    std::uint32_t block_;
    std::uint64_t width_ = 0;
    std::vector<TensorRule> rules_;
};

const GgufArchitecture& choose_architecture(const formats::GgufFile& file) {
    const std::string type = file.type();
    if (type != "model") {
        throw Error(
            ErrorKind::unsupported,
            format("the file says general.type {}, expected a model{}",
                   in_quotes(type),
                   type == "adapter"   ? "; it holds an adapter, name the model itself"
                   : type == "imatrix" ? "; it is an importance matrix, give it as --imatrix"
                                       : ""));
    }
    const std::string name = file.architecture();
    if (const GgufArchitecture* architecture = find_gguf_architecture(name)) {
        return *architecture;
    }
    throw Error(ErrorKind::unsupported,
                format("the architecture {} is not known; those that are: {}",
                       in_quotes(name),
                       join(known_gguf_architectures(), ", ")));
}

/// Tensors outside the layers, so that sizes and tying are told from them.
void add_outer(Blueprint& blueprint) {
    const auto add = [&](std::string_view name, std::string_view role, TensorGroup group) {
        blueprint.tensors.push_back({.name = std::string(name),
                                     .shape = {},
                                     .role = std::string(role),
                                     .group = group,
                                     .presence = Presence::optional,
                                     .is_in_body = false});
    };
    add("token_embd.weight", role::embedding, TensorGroup::embedding);
    add("output_norm.weight", role::final_norm, TensorGroup::norms);
    add("output.weight", role::head, TensorGroup::head);
}

QkNorm find_qk_norm(const std::vector<TensorRule>& rules, const HeadLayout& heads) {
    for (const TensorRule& rule : rules) {
        if (rule.role == role::query_norm) {
            return count_rows(rule.layout) == heads.head_dim ? QkNorm::per_head
                                                             : QkNorm::full_width;
        }
    }
    return QkNorm::none;
}

void set_positions(Blueprint& blueprint,
                   const GgufKeys& keys,
                   const GgufArchitecture& architecture,
                   const Json& config) {
    const ConfigReader reader(config);
    if (architecture.pairs == RotaryLayout::Pairs::none) {
        add_no_rotary(blueprint);
    } else if (architecture.has_latent_keys) {
        add_latent_rotary(
            blueprint, reader, keys.count("rope.dimension_count"), architecture.pairs);
    } else {
        add_rotary(blueprint, reader);
        blueprint.rotary.pairs = architecture.pairs;
    }
    blueprint.position.attention_scale = keys.find_number("attention.scale");
}

}  // namespace

Blueprint make_gguf_blueprint(const formats::GgufFile& file,
                              const TensorNames& names,
                              const Json& config) {
    const GgufArchitecture& architecture = choose_architecture(file);
    const GgufKeys keys(file);
    Blueprint blueprint;
    blueprint.family = architecture.families.front();
    blueprint.evidence = architecture.evidence;
    blueprint.layers = read_gguf_layers(keys, architecture);
    blueprint.specs.resize(blueprint.layers.size());
    blueprint.hidden_size = keys.count("embedding_length");
    blueprint.vocabulary_size = keys.find_count("vocab_size").value_or(0);
    blueprint.context_length = keys.find_count("context_length").value_or(0);
    blueprint.prefix = "";
    blueprint.heads = read_gguf_heads(keys, architecture);
    set_positions(blueprint, keys, architecture, config);
    add_outer(blueprint);
    const auto make_rules = [&](std::uint32_t block) {
        return BlockRules(keys, architecture, names, *blueprint.heads, block).make();
    };
    bool is_fused = false;
    for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
        if (!blueprint.layers[i].is_softmax()) {
            continue;
        }
        const std::vector<TensorRule> rules = make_rules(blueprint.layers[i].index.value);
        for (const TensorRule& rule : rules) {
            is_fused = is_fused || rule.name.find(".attn_qkv.") != std::string::npos;
            blueprint.tensors.push_back(plan_softmax_tensor(blueprint, rule, i, 0));
        }
        if (blueprint.softmax.tensors.empty()) {
            blueprint.softmax.tensors = rules;
            blueprint.qk_norm = find_qk_norm(rules, *blueprint.heads);
        }
    }
    // Blocks after the last layer are a draft head, which may be stored in another form.
    const auto main_blocks = static_cast<std::uint32_t>(blueprint.layers.size());
    if (keys.find_count("nextn_predict_layers").value_or(0) > 0) {
        blueprint.softmax.tensors = make_rules(main_blocks);
    }
    blueprint.obstacle =
        Error(ErrorKind::unsupported,
              "this verb does not run GGUF files; give the safetensors checkpoint that "
              "the file was made from");
    blueprint.softmax.mixers_share_names = architecture.mixers_share_names || is_fused;
    sort_names(blueprint);
    return blueprint;
}

}  // namespace anamnesis::checkpoint
