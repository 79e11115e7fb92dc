// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/model_spec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "rotary_spec.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::ConfigReader;
using checkpoint::LayerKind;

/// What every family's description reads.
struct Input {
    const checkpoint::Checkpoint& checkpoint;
    const checkpoint::Model& model;
    const ConfigReader& config;
    std::uint32_t context_length = 0;
};

std::uint32_t at_least_one(std::uint32_t value, std::string_view key) {
    if (value == 0) {
        throw Error(ErrorKind::malformed,
                    format("config key {} is 0, expected at least 1", in_quotes(key)));
    }
    return value;
}

std::uint32_t size_of(const ConfigReader& config, std::string_view key, std::uint32_t fallback) {
    return at_least_one(config.count(key, fallback), key);
}

std::optional<RotarySpec> rotary_of_softmax(const Input& input) {
    const checkpoint::Model& model = input.model;
    if (model.rotary.pairs == checkpoint::RotaryLayout::Pairs::none ||
        model.rotary.dimensions == 0) {
        return std::nullopt;
    }
    return make_rotary({.dimensions = model.rotary.dimensions,
                        .theta = model.position.rope_theta.value_or(10'000.0),
                        .scaling = model.position.rope_scaling,
                        .context_length = input.context_length});
}

std::optional<std::uint32_t> window_of(const ConfigReader& config) {
    for (const std::string_view key : {"sliding_window", "window_size"}) {
        if (const auto window = config.find_count(key)) {
            return at_least_one(*window, key);
        }
    }
    return std::nullopt;
}

AttentionSpec softmax_of(const Input& input) {
    if (!input.model.heads) {
        throw Error(ErrorKind::malformed, "nothing tells how many attention heads the model has");
    }
    const HeadLayout heads = *input.model.heads;
    if (heads.kv_heads == 0 || heads.head_dim == 0 || heads.query_heads % heads.kv_heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("{} query heads cannot share {} key-value heads of {} rows",
                           heads.query_heads,
                           heads.kv_heads,
                           heads.head_dim));
    }
    return {.heads = heads, .rotary = rotary_of_softmax(input), .qk_norm = input.model.qk_norm};
}

DenseSpec dense_of(const ConfigReader& config, std::uint32_t fallback) {
    return {.width = size_of(config, "intermediate_size", fallback)};
}

MixtureSpec mixture_of(const ConfigReader& config, const MixtureSpec& defaults) {
    const MixtureSpec spec{
        .experts = size_of(config, "num_experts", defaults.experts),
        .experts_per_token = size_of(config, "num_experts_per_tok", defaults.experts_per_token),
        .expert_width = size_of(config, "moe_intermediate_size", defaults.expert_width),
        .shared_width = size_of(config, "shared_expert_intermediate_size", defaults.shared_width),
        .is_renormalised = defaults.is_renormalised};
    if (spec.experts_per_token > spec.experts) {
        throw Error(ErrorKind::malformed,
                    format("config key 'num_experts_per_tok' is {}, of {} experts",
                           spec.experts_per_token,
                           spec.experts));
    }
    return spec;
}

LayerSpec layer_of(MixerSpec mixer, MlpSpec mlp) {
    return {.mixer = std::move(mixer),
            .mixer_name = "self_attn",
            .mlp = mlp,
            .mixer_norm = "input_layernorm",
            .mlp_norm = "post_attention_layernorm"};
}

bool is_kind(const checkpoint::Layer& layer, LayerKind kind) {
    return layer.kinds.size() == 1 && layer.kinds.front() == kind;
}

/// Llama, Mistral, Qwen2, Qwen3: softmax in every layer, some of them over a window.
void describe_plain(ModelSpec& spec, const Input& input) {
    const AttentionSpec full = softmax_of(input);
    AttentionSpec sliding = full;
    sliding.window = window_of(input.config);
    const DenseSpec mlp = dense_of(input.config, 0);
    for (const checkpoint::Layer& layer : input.model.layers) {
        const bool is_sliding = is_kind(layer, LayerKind::sliding);
        if (is_sliding && !sliding.window) {
            throw Error(ErrorKind::malformed,
                        format("layer {} is sliding, and config.json has no sliding_window",
                               layer.index.value));
        }
        spec.layers.push_back(layer_of(is_sliding ? sliding : full, mlp));
    }
}

double lightning_scale(const ConfigReader& config, std::uint32_t head_dim) {
    const std::string word = config.find_word("lightning_scale").value_or("1/sqrt(d)");
    if (word == "1/sqrt(d)") {
        return 1.0 / std::sqrt(static_cast<double>(head_dim));
    }
    return word == "1/d" ? 1.0 / head_dim : 1.0;
}

double rope_theta_of(const ConfigReader& config, double fallback) {
    if (const Json* parameters = config.find("rope_parameters")) {
        if (const Json* theta = parameters->find("rope_theta");
            theta != nullptr && !theta->is_null()) {
            return checkpoint::number_from(*theta, "rope_theta");
        }
    }
    return config.find_number("rope_theta").value_or(fallback);
}

LightningSpec lightning_of(const Input& input, const HeadLayout& softmax) {
    const ConfigReader& config = input.config;
    const HeadLayout heads{.query_heads = size_of(config, "lightning_nh", softmax.query_heads),
                           .kv_heads = size_of(config, "lightning_nkv", softmax.kv_heads),
                           .head_dim = size_of(config, "lightning_head_dim", softmax.head_dim)};
    if (heads.query_heads % heads.kv_heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("{} lightning heads cannot share {} key-value heads",
                           heads.query_heads,
                           heads.kv_heads));
    }
    if (config.flag("lightning_use_short_conv", false)) {
        throw Error(ErrorKind::unsupported, "'lightning_use_short_conv' is not supported");
    }
    LightningSpec spec{.heads = heads,
                       .scale = lightning_scale(config, heads.head_dim),
                       .has_qk_norm = config.flag("lightning_use_qk_norm", false),
                       .has_output_norm = config.flag("lightning_use_output_norm", false),
                       .has_output_gate = config.flag("lightning_use_output_gate", false)};
    if (config.flag("lightning_use_rope", true)) {
        const Json* scaling = config.find("rope_scaling");
        spec.rotary = make_rotary({.dimensions = heads.head_dim,
                                   .theta = rope_theta_of(config, 10'000.0),
                                   .scaling = scaling == nullptr ? Json() : *scaling,
                                   .context_length = input.context_length});
    }
    return spec;
}

std::optional<LengthScaling> length_scaling_of(const ConfigReader& config) {
    const Json* value = config.find("attn_logits_scaling");
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return runtime::length_scaling_of(value->as_string("attn_logits_scaling"));
    }
    return LengthScaling{.constant = value->as_double("attn_logits_scaling")};
}

void describe_hypenet(ModelSpec& spec, const Input& input) {
    const ConfigReader& config = input.config;
    if (config.flag("attention_bias", false)) {
        throw Error(ErrorKind::unsupported, "HypeNet with 'attention_bias' is not supported");
    }
    AttentionSpec softmax = softmax_of(input);
    softmax.gate =
        config.flag("attn_use_output_gate", false) ? OutputGate::separate : OutputGate::none;
    softmax.scaling = length_scaling_of(config);
    const LightningSpec lightning = lightning_of(input, softmax.heads);
    const DenseSpec mlp = dense_of(config, 22'016);
    for (const checkpoint::Layer& layer : input.model.layers) {
        spec.layers.push_back(is_kind(layer, LayerKind::full) ? layer_of(softmax, mlp)
                                                              : layer_of(lightning, mlp));
    }
}

/// A number inside `efficient_attention_config`, or the fallback. Some are written as strings.
double efficient(const ConfigReader& config,
                 std::string_view mixer,
                 std::string_view key,
                 double fallback) {
    const Json* all = config.find("efficient_attention_config");
    const Json* one = all == nullptr ? nullptr : all->find(mixer);
    const Json* value = one == nullptr ? nullptr : one->find(key);
    return value == nullptr || value->is_null() ? fallback : checkpoint::number_from(*value, key);
}

/// As `efficient`, for sizes.
std::uint32_t efficient_size(const ConfigReader& config,
                             std::string_view mixer,
                             std::string_view key,
                             std::uint32_t fallback) {
    const double number = efficient(config, mixer, key, fallback);
    return at_least_one(checkpoint::count_from(Json(number), key), key);
}

JetSpec jet_of(const ConfigReader& config) {
    const std::uint32_t heads = efficient_size(config, "jet", "num_heads", 6);
    const std::uint32_t key_dim = efficient_size(config, "jet", "head_dim", 256);
    const double expansion = efficient(config, "jet", "expand_v", 2.0);
    // In float32 96 * 2.6666667 would truncate to 255.
    const auto value_dim =
        checkpoint::count_from(Json(std::round(key_dim * expansion)), "expand_v");
    const std::uint32_t reduction = efficient_size(config, "jet", "dconv_generator_reduction", 8);
    return {.heads = heads,
            .key_dim = key_dim,
            .value_dim = at_least_one(value_dim, "expand_v"),
            .conv_width = efficient_size(config, "jet", "conv_size", 4),
            .generator_width = at_least_one(
                checkpoint::count_from(Json(std::uint64_t{heads} * value_dim / reduction),
                                       "dconv_generator_reduction"),
                "dconv_generator_reduction"),
            .norm_eps = efficient(config, "jet", "norm_eps", 1e-5)};
}

void describe_jet(ModelSpec& spec, const Input& input) {
    const ConfigReader& config = input.config;
    const AttentionSpec full = softmax_of(input);
    AttentionSpec sliding = full;
    const double window = efficient(config, "swa", "window_size", 0.0);
    const DenseSpec mlp = dense_of(config, 8960);
    for (const checkpoint::Layer& layer : input.model.layers) {
        if (is_kind(layer, LayerKind::linear)) {
            spec.layers.push_back(layer_of(jet_of(config), mlp));
            continue;
        }
        if (is_kind(layer, LayerKind::sliding) && !sliding.window) {
            sliding.window =
                at_least_one(checkpoint::count_from(Json(window), "window_size"), "window_size");
        }
        spec.layers.push_back(layer_of(is_kind(layer, LayerKind::sliding) ? sliding : full, mlp));
    }
}

GatedDeltaSpec gated_delta_of(const ConfigReader& config, DeltaProjections projections) {
    const GatedDeltaSpec spec{.key_heads = size_of(config, "linear_num_key_heads", 16),
                              .value_heads = size_of(config, "linear_num_value_heads", 32),
                              .key_dim = size_of(config, "linear_key_head_dim", 128),
                              .value_dim = size_of(config, "linear_value_head_dim", 128),
                              .conv_width = size_of(config, "linear_conv_kernel_dim", 4),
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

LayerSpec delta_layer(const GatedDeltaSpec& delta, const MlpSpec& mlp) {
    LayerSpec layer = layer_of(delta, mlp);
    layer.mixer_name = "linear_attn";
    return layer;
}

void describe_qwen3_next(ModelSpec& spec, const Input& input) {
    const ConfigReader& config = input.config;
    spec.gain = Gain::offset;
    AttentionSpec softmax = softmax_of(input);
    softmax.gate = OutputGate::interleaved;
    const GatedDeltaSpec delta = gated_delta_of(config, DeltaProjections::grouped);
    const auto dense_only =
        config.find_counts("mlp_only_layers").value_or(std::vector<std::uint32_t>{});
    const std::uint32_t step = size_of(config, "decoder_sparse_step", 1);
    const bool has_experts = config.count("num_experts", 512) > 0;
    for (const checkpoint::Layer& layer : input.model.layers) {
        const std::uint32_t index = layer.index.value;
        const bool is_mixture =
            has_experts && (index + 1) % step == 0 && std::ranges::count(dense_only, index) == 0;
        MlpSpec mlp = dense_of(config, 5632);
        if (is_mixture) {
            mlp = mixture_of(config,
                             {.experts = 512,
                              .experts_per_token = 10,
                              .expert_width = 512,
                              .shared_width = 512,
                              .is_renormalised = config.flag("norm_topk_prob", true)});
        }
        spec.layers.push_back(is_kind(layer, LayerKind::full) ? layer_of(softmax, mlp)
                                                              : delta_layer(delta, mlp));
    }
}

void describe_qwen3_5(ModelSpec& spec, const Input& input) {
    const ConfigReader& config = input.config;
    spec.gain = Gain::offset;
    AttentionSpec softmax = softmax_of(input);
    softmax.gate = OutputGate::interleaved;
    const GatedDeltaSpec delta = gated_delta_of(config, DeltaProjections::plain);
    const bool is_mixture = input.model.model_type.find("_moe") != std::string::npos;
    MlpSpec mlp;
    if (is_mixture) {
        mlp = mixture_of(
            config,
            {.experts = 256, .experts_per_token = 8, .expert_width = 512, .shared_width = 512});
    } else {
        mlp = dense_of(config, 12'288);
    }
    for (const checkpoint::Layer& layer : input.model.layers) {
        spec.layers.push_back(is_kind(layer, LayerKind::full) ? layer_of(softmax, mlp)
                                                              : delta_layer(delta, mlp));
    }
}

/// The first of `names` that layer `index` has a weight under.
std::string first_norm(const Input& input,
                       const std::string& prefix,
                       std::uint32_t index,
                       std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        if (input.checkpoint.find(format("{}layers.{}.{}.weight", prefix, index, name)) !=
            nullptr) {
            return std::string(name);
        }
    }
    return std::string(*names.begin());
}

/// Linear layers with norms before, softmax layers with norms behind.
void describe_olmo_hybrid(ModelSpec& spec, const Input& input) {
    const ConfigReader& config = input.config;
    const AttentionSpec softmax = softmax_of(input);
    GatedDeltaSpec delta = gated_delta_of(config, DeltaProjections::separate);
    delta.beta_range = config.flag("linear_allow_neg_eigval", true) ? 2.0 : 1.0;
    delta.norm_eps = 1e-5;
    const DenseSpec mlp = dense_of(config, 11'008);
    for (const checkpoint::Layer& layer : input.model.layers) {
        const std::uint32_t index = layer.index.value;
        if (is_kind(layer, LayerKind::full)) {
            LayerSpec behind = layer_of(softmax, mlp);
            behind.has_norms_behind = true;
            behind.mixer_norm = first_norm(
                input, spec.prefix, index, {"post_attention_layernorm", "feedforward_layer_norm"});
            behind.mlp_norm = "post_feedforward_layernorm";
            spec.layers.push_back(std::move(behind));
            continue;
        }
        LayerSpec before = delta_layer(delta, mlp);
        before.mixer_norm =
            first_norm(input, spec.prefix, index, {"attention_layer_norm", "input_layernorm"});
        before.mlp_norm = first_norm(
            input, spec.prefix, index, {"feedforward_layer_norm", "post_attention_layernorm"});
        spec.layers.push_back(std::move(before));
    }
}

struct Family {
    std::string_view name;
    void (*describe)(ModelSpec&, const Input&);
};

constexpr std::array families{
    Family{"hypenet", describe_hypenet},
    Family{"jet_nemotron", describe_jet},
    Family{"llama", describe_plain},
    Family{"mistral", describe_plain},
    Family{"olmo_hybrid", describe_olmo_hybrid},
    Family{"qwen2", describe_plain},
    Family{"qwen3", describe_plain},
    Family{"qwen3_5", describe_qwen3_5},
    Family{"qwen3_next", describe_qwen3_next},
};

/// Where the text model's tensors are: a flat config may stand over nested names.
std::string prefix_of(const checkpoint::Checkpoint& checkpoint) {
    constexpr std::string_view embedding = "embed_tokens.weight";
    for (const std::string_view prefix : {"model.language_model.", "model.", ""}) {
        if (checkpoint.find(std::string(prefix) + std::string(embedding)) != nullptr) {
            return std::string(prefix);
        }
    }
    throw Error(ErrorKind::not_found,
                format("no tensor {} in {}",
                       in_quotes("model.embed_tokens.weight"),
                       checkpoint.path().string()));
}

}  // namespace

std::optional<LengthScaling> length_scaling_of(std::string_view word) {
    if (word == "none") {
        return std::nullopt;
    }
    if (word == "hype") {
        return LengthScaling{.offset = 362};
    }
    const auto parse = [&](std::string_view text, auto& number) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        return error == std::errc{} && end == text.data() + text.size();
    };
    if (word.starts_with("hype ")) {
        std::uint32_t offset = 0;
        if (parse(word.substr(5), offset) && offset >= 2) {
            return LengthScaling{.offset = offset};
        }
    } else if (double constant = 0.0; parse(word, constant) && std::isfinite(constant)) {
        return LengthScaling{.constant = constant};
    }
    throw Error(ErrorKind::malformed,
                format("attn_logits_scaling is {}, expected none, a number, \"hype\" or \"hype A\" "
                       "with a whole A of at least 2",
                       in_quotes(word)));
}

ModelSpec describe(const checkpoint::Checkpoint& checkpoint, const checkpoint::Model& model) {
    const auto* family = std::ranges::find(families, model.family, &Family::name);
    if (family == families.end()) {
        std::vector<std::string> names;
        for (const Family& known : families) {
            names.emplace_back(known.name);
        }
        throw Error(ErrorKind::unsupported,
                    format("models of family {} do not run here; these do: {}",
                           in_quotes(model.family),
                           join(names, ", ")));
    }
    const ConfigReader config(checkpoint.config());
    if (const auto activation = config.find_word("hidden_act");
        activation && *activation != "silu" && *activation != "swish") {
        throw Error(ErrorKind::unsupported,
                    format("hidden_act is {}, only silu is supported", in_quotes(*activation)));
    }
    ModelSpec spec;
    spec.family = model.family;
    spec.prefix = prefix_of(checkpoint);
    spec.context_length = config.count("max_position_embeddings", 32'768);
    spec.norm_eps = config.find_number("rms_norm_eps").value_or(1e-6);
    spec.is_head_tied = checkpoint.find("lm_head.weight") == nullptr;
    if (spec.is_head_tied && !config.flag("tie_word_embeddings", true)) {
        throw Error(ErrorKind::not_found,
                    format("no tensor 'lm_head.weight' in {}, and config.json says that the head "
                           "is not tied to the embedding",
                           checkpoint.path().string()));
    }
    const checkpoint::TensorEntry& embedding = checkpoint.at(spec.prefix + "embed_tokens.weight");
    if (embedding.shape.size() != 2 || embedding.shape[0] > ConfigReader::largest_count ||
        embedding.shape[1] > ConfigReader::largest_count || embedding.bytes == 0) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} has shape {}, expected [vocab_size, hidden_size]",
                           in_quotes(embedding.name),
                           to_string(embedding.shape)));
    }
    spec.vocabulary_size = static_cast<std::uint32_t>(embedding.shape[0]);
    spec.hidden_size = static_cast<std::uint32_t>(embedding.shape[1]);
    family->describe(spec,
                     {.checkpoint = checkpoint,
                      .model = model,
                      .config = config,
                      .context_length = spec.context_length});
    return spec;
}

}  // namespace anamnesis::runtime
