// SPDX-License-Identifier: Apache-2.0
// The configs that families read, from what their GGUF files say.
// Source: llama.cpp, convert_hf_to_gguf.py and the loaders of src/models.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "gguf/sizes.hpp"

namespace anamnesis::checkpoint {
namespace {

/// One file's keys and tensors, and the config that they become.
class RunningConfig {
public:
    explicit RunningConfig(const Checkpoint& file)
        : file_(file), keys_(*file.gguf()), config_(make_gguf_config(*file.gguf())) {}

    /// Errors: `malformed` without the eps of the norms.
    Json make() {
        const bool has_eps = keys_.find_number("attention.layer_norm_rms_epsilon") ||
                             keys_.find_number("attention.layer_norm_epsilon");
        if (!has_eps) {
            throw Error(ErrorKind::malformed,
                        format("the file has no key '{}.attention.layer_norm_rms_epsilon', which "
                               "its norms need; convert the model again",
                               keys_.architecture()));
        }
        config_.set("tie_word_embeddings", file_.find("output.weight") == nullptr);
        config_.set("mlp_bias", has_in_some_block("ffn_up.bias"));
        config_.set("attention_bias", has_in_some_block("attn_q.bias"));
        add_ends();
        add_rope_factors();
        const std::string& name = keys_.architecture();
        if (name == "llama" && keys_.find_count("expert_count").value_or(0) > 0) {
            config_.set("model_type", "mixtral");
        } else if (name == "qwen2moe" || name == "qwen3moe") {
            config_.set("norm_topk_prob", name == "qwen3moe");
        } else if (name == "gemma3") {
            add_gemma3();
        } else if (name.starts_with("lfm2")) {
            add_lfm2();
        } else if (name == "granitehybrid") {
            add_granite();
        } else if (name == "falcon-h1") {
            add_falcon();
        } else if (name.starts_with("nemotron_h")) {
            add_nemotron();
        } else if (name == "jamba") {
            add_jamba();
        } else if (name == "gpt-oss") {
            add_gpt_oss();
        } else if (name == "deepseek2") {
            add_deepseek();
        } else if (name == "kimi-linear") {
            add_kimi();
        } else if (name == "qwen35moe") {
            config_.set("model_type", "qwen3_5_moe");
        }
        return std::move(config_);
    }

private:
    struct Renamed {
        std::string_view gguf;
        std::string_view config;
    };

    void copy_counts(std::initializer_list<Renamed> keys) {
        for (const auto& [from, to] : keys) {
            if (const auto count = keys_.find_count(from)) {
                config_.set(to, *count);
            }
        }
    }

    void copy_numbers(std::initializer_list<Renamed> keys) {
        for (const auto& [from, to] : keys) {
            if (const auto number = keys_.find_number(from)) {
                config_.set(to, *number);
            }
        }
    }

    /// True where some block has a tensor with this name.
    bool has_in_some_block(std::string_view name) const {
        const std::uint32_t count = count_gguf_layers(keys_);
        for (std::uint32_t layer = 0; layer < count; ++layer) {
            if (has_in_block(layer, name)) {
                return true;
            }
        }
        return false;
    }

    bool has_in_block(std::uint32_t layer, std::string_view name) const {
        return file_.find(format("blk.{}.{}", layer, name)) != nullptr;
    }

    void add_ends() {
        Json ends = Json::array();
        for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
            if (const auto id = file_.gguf()->metadata.find_count(key)) {
                ends.push_back(*id);
            }
        }
        config_.set("eos_token_id", std::move(ends));
    }

    std::optional<Json> read_factors(const char* name) const {
        const TensorEntry* tensor = file_.find(name);
        if (tensor == nullptr) {
            return std::nullopt;
        }
        if (!is_arithmetic(tensor->dtype) || tensor->bytes > (std::uint64_t{1} << 20U)) {
            throw Error(ErrorKind::malformed,
                        format("tensor {} holds no factors of rotary encoding", in_quotes(name)));
        }
        std::vector<std::byte> bytes(tensor->bytes);
        tensor->read_at(0, bytes);
        std::vector<float> values(count_elements(tensor->dtype, bytes.size()));
        convert(tensor->dtype, bytes, DType::f32, std::as_writable_bytes(std::span(values)));
        Json list = Json::array();
        for (const float value : values) {
            list.push_back(static_cast<double>(value));
        }
        return list;
    }

    /// What divides the frequencies of pairs: of Llama 3 one list, of Phi-3 two.
    void add_rope_factors() {
        const auto plain = read_factors("rope_freqs.weight");
        const auto brief = read_factors("rope_factors_short.weight");
        const auto lengthy = read_factors("rope_factors_long.weight");
        if (plain) {
            // For every length, and nothing else is scaled.
            config_.set("rope_scaling",
                        Json::Object{{"rope_type", "longrope"},
                                     {"short_factor", *plain},
                                     {"long_factor", *plain},
                                     {"attention_factor", 1.0}});
        } else if (brief && lengthy) {
            Json scaling = Json::Object{
                {"rope_type", "longrope"}, {"short_factor", *brief}, {"long_factor", *lengthy}};
            if (const auto original = keys_.find_count("rope.scaling.original_context_length")) {
                scaling.set("original_max_position_embeddings", *original);
            }
            if (const auto factor = keys_.find_number("rope.scaling.attn_factor")) {
                scaling.set("attention_factor", *factor);
            }
            config_.set("rope_scaling", std::move(scaling));
        }
    }

    void add_gemma3() {
        copy_numbers({{"final_logit_softcapping", "final_logit_softcapping"}});
        const ConfigReader reader(config_);
        const std::uint32_t heads = reader.count("num_attention_heads", 1);
        // The file leaves the scale out; that of the 27B model is not the width of its heads.
        constexpr std::uint32_t layers_of_27b = 62;
        const bool is_27b = count_gguf_layers(keys_) == layers_of_27b;
        config_.set(
            "query_pre_attn_scalar",
            is_27b ? reader.count("hidden_size", 0) / heads : reader.count("head_dim", 256));
    }

    void add_lfm2() {
        copy_counts({{"shortconv.l_cache", "conv_L_cache"},
                     {"leading_dense_block_count", "num_dense_layers"}});
        copy_numbers({{"attention.layer_norm_rms_epsilon", "norm_eps"},
                      {"expert_weights_scale", "routed_scaling_factor"}});
        config_.set("block_auto_adjust_ff_dim", false);
        config_.set("use_expert_bias", has_in_some_block("exp_probs_b.bias"));
    }

    /// The sizes of Mamba-2 under the keys of Granite, Bamba and Falcon-H1.
    void add_mamba2() {
        copy_counts({{"ssm.time_step_rank", "mamba_n_heads"},
                     {"ssm.group_count", "mamba_n_groups"},
                     {"ssm.state_size", "mamba_d_state"},
                     {"ssm.conv_kernel", "mamba_d_conv"}});
        config_.set("mamba_d_head", find_mamba_head_dim());
        config_.set("mamba_conv_bias", has_in_some_block("ssm_conv1d.bias"));
        config_.set("mamba_proj_bias", has_in_some_block("ssm_in.bias"));
    }

    std::uint32_t find_mamba_head_dim() const {
        const std::uint32_t heads = keys_.count("ssm.time_step_rank");
        return heads == 0 ? 0 : keys_.count("ssm.inner_size") / heads;
    }

    void add_granite() {
        add_mamba2();
        const std::uint32_t hidden = keys_.count("embedding_length");
        config_.set("mamba_expand", hidden == 0 ? 0 : keys_.count("ssm.inner_size") / hidden);
        copy_numbers({{"embedding_scale", "embedding_multiplier"},
                      {"residual_scale", "residual_multiplier"},
                      {"attention.scale", "attention_multiplier"},
                      {"logit_scale", "logits_scaling"}});
        const std::uint32_t experts = keys_.find_count("expert_count").value_or(0);
        config_.set("num_local_experts", experts);
        const std::string_view width =
            experts > 0 ? "expert_shared_feed_forward_length" : "feed_forward_length";
        if (const auto shared = keys_.find_common_count(width)) {
            config_.set("shared_intermediate_size", *shared);
        }
        const bool turns =
            file_.gguf()->metadata.find_flag("granitehybrid.rope.scaling.finetuned").value_or(true);
        config_.set("position_embedding_type", turns ? "rope" : "nope");
    }

    /// All multipliers are in the weights.
    void add_falcon() {
        add_mamba2();
        config_.set("mamba_d_ssm", keys_.count("ssm.inner_size"));
        const bool has_norm = has_in_some_block("ssm_norm.weight");
        config_.set("mamba_rms_norm", has_norm);
        config_.set("mamba_norm_before_gate", false);
    }

    void add_nemotron() {
        copy_counts({{"ssm.time_step_rank", "mamba_num_heads"},
                     {"ssm.group_count", "n_groups"},
                     {"ssm.state_size", "ssm_state_size"},
                     {"ssm.conv_kernel", "conv_kernel"},
                     {"expert_count", "n_routed_experts"},
                     {"expert_group_count", "n_group"},
                     {"expert_group_used_count", "topk_group"},
                     {"expert_feed_forward_length", "moe_intermediate_size"},
                     {"expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size"}});
        copy_numbers({{"expert_weights_scale", "routed_scaling_factor"},
                      {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
                      {"attention.layer_norm_rms_epsilon", "layer_norm_epsilon"}});
        const std::string flag = keys_.architecture() + ".expert_weights_norm";
        config_.set("norm_topk_prob", file_.gguf()->metadata.find_flag(flag).value_or(true));
        config_.set("mamba_head_dim", find_mamba_head_dim());
        config_.set("use_conv_bias", has_in_some_block("ssm_conv1d.bias"));
        config_.set("use_bias", has_in_some_block("ssm_in.bias"));
        Json types = Json::array();
        const GgufArchitecture* architecture = find_gguf_architecture(keys_.architecture());
        for (const Layer& layer : read_gguf_layers(keys_, *architecture)) {
            const LayerKind kind = layer.kinds.front();
            const bool has_experts = has_in_block(layer.index.value, "ffn_gate_inp.weight");
            types.push_back(kind == LayerKind::mlp      ? (has_experts ? "moe" : "mlp")
                            : kind == LayerKind::linear ? "mamba"
                                                        : "attention");
        }
        config_.set("layers_block_type", std::move(types));
    }

    /// For each layer whether it has experts.
    Json list_sparse_layers() const {
        Json types = Json::array();
        for (std::uint32_t layer = 0; layer < count_gguf_layers(keys_); ++layer) {
            types.push_back(has_in_block(layer, "ffn_gate_inp.weight") ? "sparse" : "dense");
        }
        return types;
    }

    void add_jamba() {
        copy_counts({{"ssm.state_size", "mamba_d_state"},
                     {"ssm.conv_kernel", "mamba_d_conv"},
                     {"ssm.time_step_rank", "mamba_dt_rank"}});
        const std::uint32_t hidden = keys_.count("embedding_length");
        config_.set("mamba_expand", hidden == 0 ? 0 : keys_.count("ssm.inner_size") / hidden);
        config_.set("mamba_conv_bias", has_in_some_block("ssm_conv1d.bias"));
        config_.set("mamba_proj_bias", has_in_some_block("ssm_in.bias"));
        config_.set("mamba_inner_layernorms", has_in_some_block("ssm_dt_norm.weight"));
        config_.set("mlp_layer_types", list_sparse_layers());
    }

    /// The published scaling is not rounded to whole pairs, which a file does not say.
    void add_gpt_oss() {
        copy_counts({{"expert_feed_forward_length", "intermediate_size"}});
        if (const Json* scaling = config_.find("rope_scaling"); scaling != nullptr) {
            Json exact = *scaling;
            exact.set("truncate", false);
            config_.set("rope_scaling", std::move(exact));
        } else {
            // Of a config without any the family fills in its own.
            config_.set("rope_scaling", Json::Object{{"rope_type", "default"}});
        }
    }

    /// Experts beside latent attention.
    void add_latent_mixture() {
        copy_counts({{"expert_shared_count", "n_shared_experts"}});
        config_.set("mlp_layer_types", list_sparse_layers());
        // Older files of DeepSeek-V3 leave its groups out, which are those of its family.
        constexpr std::uint32_t experts_of_v3 = 256;
        const auto groups = keys_.find_count("expert_group_count");
        if (groups || keys_.find_count("expert_count") != experts_of_v3) {
            config_.set("n_group", groups.value_or(1));
            config_.set("topk_group", keys_.find_count("expert_group_used_count").value_or(1));
        }
        config_.set("routed_scaling_factor",
                    keys_.find_number("expert_weights_scale").value_or(1.0));
        const std::string flag = keys_.architecture() + ".expert_weights_norm";
        if (const auto is_renormalised = file_.gguf()->metadata.find_flag(flag)) {
            config_.set("norm_topk_prob", *is_renormalised);
        }
    }

    /// DeepSeek-V3 scores experts with sigmoids and corrects them, V2 with a softmax.
    void add_deepseek() {
        constexpr std::uint32_t sigmoids = 2;
        const bool is_v3 = has_in_some_block("exp_probs_b.bias") ||
                           keys_.find_count("expert_gating_func") == sigmoids;
        add_latent_mixture();
        if (!config_.find("q_lora_rank")) {
            config_.set("q_lora_rank", Json());
        }
        config_.set("attention_bias", has_in_some_block("attn_kv_a_mqa.bias"));
        config_.set("model_type", is_v3 ? "deepseek_v3" : "deepseek_v2");
        if (!is_v3 && keys_.find_count("expert_group_count").value_or(1) > 1) {
            config_.set("topk_method", "group_limited_greedy");
        } else if (is_v3 && !config_.find("norm_topk_prob")) {
            config_.set("norm_topk_prob", false);
        }
        // The file has 0.1 mscale_all_dim; the two factors of published configs are the same.
        const auto slope = keys_.find_number("rope.scaling.yarn_log_multiplier");
        if (const Json* scaling = config_.find("rope_scaling"); scaling != nullptr && slope) {
            Json yarn = *scaling;
            yarn.set("mscale", 10.0 * *slope);
            yarn.set("mscale_all_dim", 10.0 * *slope);
            config_.set("rope_scaling", std::move(yarn));
        }
    }

    void add_kimi() {
        add_latent_mixture();
        copy_counts({{"kda.head_dim", "linear_head_dim"}, {"context_length", "model_max_length"}});
        for (std::uint32_t layer = 0; layer < count_gguf_layers(keys_); ++layer) {
            // One learning rate a head.
            if (const auto* rates = file_.find(format("blk.{}.ssm_beta.weight", layer))) {
                config_.set("linear_num_heads", rates->rows());
            }
        }
    }

    const Checkpoint& file_;
    GgufKeys keys_;
    Json config_;
};

}  // namespace

Json make_running_config(const Checkpoint& file) {
    return RunningConfig(file).make();
}

}  // namespace anamnesis::checkpoint
