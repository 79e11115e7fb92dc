// SPDX-License-Identifier: Apache-2.0
#include "made_up_model.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/atomic_file.hpp"

namespace anamnesis::bench {
namespace {

struct Sizes {
    std::uint64_t layers = 0;
    std::uint64_t hidden = 0;
    std::uint64_t width = 0;  ///< of the MLP
    std::uint64_t vocabulary = 0;
    std::uint64_t heads = 0;
    std::uint64_t key_value_heads = 0;
    std::uint64_t head_dim = 0;
    std::uint64_t linear_heads = 0;
    std::uint64_t linear_dim = 0;  ///< of a linear head
};

Sizes full_sizes(const std::string& name) {
    if (name == "hypenet") {
        return {.layers = 28,
                .hidden = 2048,
                .width = 6144,
                .vocabulary = 151936,
                .heads = 16,
                .key_value_heads = 8,
                .head_dim = 128,
                .linear_heads = 16,
                .linear_dim = 128};
    }
    if (name == "qwen3") {
        return {.layers = 28,
                .hidden = 1024,
                .width = 3072,
                .vocabulary = 151936,
                .heads = 16,
                .key_value_heads = 8,
                .head_dim = 128};
    }
    if (name == "hybrid") {
        return {.layers = 24,
                .hidden = 2048,
                .width = 6144,
                .vocabulary = 248320,
                .heads = 8,
                .key_value_heads = 2,
                .head_dim = 256,
                .linear_heads = 16,
                .linear_dim = 128};
    }
    throw Error(
        ErrorKind::usage,
        format("shape {} is not known, expected hypenet, qwen3 or hybrid", in_quotes(name)));
}

Sizes make_sizes(const std::string& name, const std::string& scale) {
    Sizes sizes = full_sizes(name);
    if (scale == "small") {
        sizes.layers = 4;
        sizes.hidden /= 16;
        sizes.width /= 16;
        sizes.vocabulary = 2048;
        sizes.heads /= 4;
        sizes.key_value_heads = sizes.heads / 2;
        sizes.head_dim /= 4;
        sizes.linear_heads /= 4;
        sizes.linear_dim /= 4;
    } else if (scale != "full") {
        throw Error(ErrorKind::usage,
                    format("scale {} is not known, expected full or small", in_quotes(scale)));
    }
    return sizes;
}

/// Every fourth layer is softmax attention in the hybrids, and every layer in Qwen3.
Mixing choose_mixing(const std::string& name, std::uint64_t layer) {
    return name == "qwen3" || layer % 4 == 3 ? Mixing::softmax : Mixing::linear;
}

Json config_of_all(const Sizes& sizes) {
    return Json::Object{{"dtype", "bfloat16"},
                        {"hidden_act", "silu"},
                        {"hidden_size", sizes.hidden},
                        {"intermediate_size", sizes.width},
                        {"num_hidden_layers", sizes.layers},
                        {"num_attention_heads", sizes.heads},
                        {"num_key_value_heads", sizes.key_value_heads},
                        {"head_dim", sizes.head_dim},
                        {"rms_norm_eps", 1e-6},
                        {"max_position_embeddings", std::uint64_t{1} << 18U},
                        {"tie_word_embeddings", true},
                        {"bos_token_id", 1},
                        {"eos_token_id", 2},
                        {"attention_bias", false},
                        {"vocab_size", sizes.vocabulary}};
}

Json rotary_config(double part) {
    return Json::Object{
        {"rope_type", "default"}, {"rope_theta", 1e6}, {"partial_rotary_factor", part}};
}

void describe_hypenet(Json& config, const Sizes& sizes) {
    Json mixers = Json::array();
    for (std::uint64_t layer = 0; layer < sizes.layers; ++layer) {
        mixers.push_back(choose_mixing("hypenet", layer) == Mixing::softmax ? "attn"
                                                                            : "lightning-attn");
    }
    config.set("model_type", "hypenet");
    config.set("architectures", Json::Array{"HypeNetForCausalLM"});
    config.set("mixer_types", std::move(mixers));
    config.set("attn_use_rope", false);
    config.set("attn_use_output_gate", true);
    config.set("attn_logits_scaling", "hype 8192");
    config.set("lightning_nh", sizes.linear_heads);
    config.set("lightning_nkv", sizes.linear_heads);
    config.set("lightning_head_dim", sizes.linear_dim);
    config.set("lightning_use_qk_norm", true);
    config.set("lightning_use_output_norm", true);
    config.set("lightning_use_output_gate", true);
    config.set("lightning_use_rope", true);
    config.set("lightning_scale", "1/sqrt(d)");
    config.set("rope_theta", 1e6);
}

void describe_qwen3(Json& config) {
    config.set("model_type", "qwen3");
    config.set("architectures", Json::Array{"Qwen3ForCausalLM"});
    config.set("rope_parameters", rotary_config(1.0));
}

void describe_hybrid(Json& config, const Sizes& sizes) {
    Json types = Json::array();
    for (std::uint64_t layer = 0; layer < sizes.layers; ++layer) {
        types.push_back(choose_mixing("hybrid", layer) == Mixing::softmax ? "full_attention"
                                                                          : "linear_attention");
    }
    config.set("model_type", "qwen3_5_text");
    config.set("architectures", Json::Array{"Qwen3_5ForCausalLM"});
    config.set("layer_types", std::move(types));
    config.set("linear_conv_kernel_dim", 4);
    config.set("linear_key_head_dim", sizes.linear_dim);
    config.set("linear_value_head_dim", sizes.linear_dim);
    config.set("linear_num_key_heads", sizes.linear_heads);
    config.set("linear_num_value_heads", sizes.linear_heads);
    config.set("rope_parameters", rotary_config(0.25));
}

class TensorList {
public:
    void add(std::string name, anamnesis::Shape shape) {
        tensors_.push_back(
            {.name = std::move(name), .dtype = DType::bf16, .shape = std::move(shape)});
    }
    std::vector<formats::TensorSpec> take() && { return std::move(tensors_); }

private:
    std::vector<formats::TensorSpec> tensors_;
};

void add_softmax(TensorList& list,
                 const std::string& prefix,
                 const Sizes& sizes,
                 const std::string& name) {
    const std::uint64_t queries = sizes.heads * sizes.head_dim;
    const std::uint64_t keys = sizes.key_value_heads * sizes.head_dim;
    // Qwen3.5's gates are rows of the query projection.
    list.add(prefix + "q_proj.weight", {name == "hybrid" ? 2 * queries : queries, sizes.hidden});
    list.add(prefix + "k_proj.weight", {keys, sizes.hidden});
    list.add(prefix + "v_proj.weight", {keys, sizes.hidden});
    list.add(prefix + "o_proj.weight", {sizes.hidden, queries});
    list.add(prefix + "q_norm.weight", {sizes.head_dim});
    list.add(prefix + "k_norm.weight", {sizes.head_dim});
    if (name == "hypenet") {
        list.add(prefix + "o_gate.weight", {queries, sizes.hidden});
    }
}

void add_lightning(TensorList& list, const std::string& prefix, const Sizes& sizes) {
    const std::uint64_t all = sizes.linear_heads * sizes.linear_dim;
    for (const char* projection : {"q_proj", "k_proj", "v_proj", "z_proj"}) {
        list.add(prefix + projection + ".weight", {all, sizes.hidden});
    }
    list.add(prefix + "o_proj.weight", {sizes.hidden, all});
    list.add(prefix + "q_norm.weight", {sizes.linear_dim});
    list.add(prefix + "k_norm.weight", {sizes.linear_dim});
    list.add(prefix + "o_norm.weight", {all});
}

void add_gated_delta(TensorList& list, const std::string& prefix, const Sizes& sizes) {
    const std::uint64_t all = sizes.linear_heads * sizes.linear_dim;
    list.add(prefix + "in_proj_qkv.weight", {3 * all, sizes.hidden});
    list.add(prefix + "in_proj_z.weight", {all, sizes.hidden});
    list.add(prefix + "in_proj_a.weight", {sizes.linear_heads, sizes.hidden});
    list.add(prefix + "in_proj_b.weight", {sizes.linear_heads, sizes.hidden});
    list.add(prefix + "out_proj.weight", {sizes.hidden, all});
    list.add(prefix + "conv1d.weight", {3 * all, 1, 4});
    list.add(prefix + "A_log", {sizes.linear_heads});
    list.add(prefix + "dt_bias", {sizes.linear_heads});
    list.add(prefix + "norm.weight", {sizes.linear_dim});
}

std::vector<formats::TensorSpec> list_tensors(const std::string& name, const Sizes& sizes) {
    TensorList list;
    list.add("model.embed_tokens.weight", {sizes.vocabulary, sizes.hidden});
    for (std::uint64_t layer = 0; layer < sizes.layers; ++layer) {
        const std::string prefix = format("model.layers.{}.", layer);
        list.add(prefix + "input_layernorm.weight", {sizes.hidden});
        list.add(prefix + "post_attention_layernorm.weight", {sizes.hidden});
        if (choose_mixing(name, layer) == Mixing::softmax) {
            add_softmax(list, prefix + "self_attn.", sizes, name);
        } else if (name == "hybrid") {
            add_gated_delta(list, prefix + "linear_attn.", sizes);
        } else {
            add_lightning(list, prefix + "self_attn.", sizes);
        }
        list.add(prefix + "mlp.gate_proj.weight", {sizes.width, sizes.hidden});
        list.add(prefix + "mlp.up_proj.weight", {sizes.width, sizes.hidden});
        list.add(prefix + "mlp.down_proj.weight", {sizes.hidden, sizes.width});
    }
    list.add("model.norm.weight", {sizes.hidden});
    return std::move(list).take();
}

at::Tensor make_values(const formats::TensorSpec& tensor,
                       bool has_offset_gains,
                       at::Device device) {
    const std::vector<std::int64_t> sizes(tensor.shape.begin(), tensor.shape.end());
    const at::TensorOptions options = at::TensorOptions().device(device).dtype(at::kBFloat16);
    if (tensor.shape.size() > 1) {
        return at::empty(sizes, options).normal_(0.0, 0.02);
    }
    if (!tensor.name.ends_with("norm.weight")) {
        return at::full(sizes, 0.0, options);  // A_log and dt_bias: a decay of one half
    }
    const bool is_offset = has_offset_gains && !tensor.name.ends_with("linear_attn.norm.weight");
    return at::full(sizes, is_offset ? 0.0 : 1.0, options);
}

}  // namespace

Shape make_shape(const std::string& name, const std::string& scale) {
    const Sizes sizes = make_sizes(name, scale);
    Json config = config_of_all(sizes);
    if (name == "hypenet") {
        describe_hypenet(config, sizes);
    } else if (name == "qwen3") {
        describe_qwen3(config);
    } else {
        describe_hybrid(config, sizes);
    }
    return {.config = std::move(config), .tensors = list_tensors(name, sizes)};
}

void write_made_up_model(const Shape& shape,
                         at::Device device,
                         const std::filesystem::path& folder) {
    const bool has_offset_gains =
        shape.config.at("model_type").as_string("model_type") == "qwen3_5_text";
    const auto prologue = formats::make_safetensors_prologue(shape.tensors, {{"format", "pt"}});
    std::filesystem::create_directories(folder);
    io::AtomicFile file{folder / "model.safetensors"};
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < shape.tensors.size(); ++i) {
        const at::Tensor values =
            make_values(shape.tensors[i], has_offset_gains, device).to(at::kCPU);
        file.file().write_at(
            prologue.bytes.size() + prologue.offsets[i],
            {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
    }
    file.commit();
    io::write_text_atomically(folder / "config.json", shape.config.dump(2) + "\n");
}

}  // namespace anamnesis::bench
