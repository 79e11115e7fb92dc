// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/initial_checkpoint.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"

namespace anamnesis::train {
namespace {

bool has(const Json& config, std::string_view key) {
    const Json* value = config.find(key);
    return value != nullptr && !value->is_null();
}

std::uint64_t size(const Json& config, std::string_view key) {
    const std::uint64_t value = config.at(key).as_unsigned(key);
    if (value == 0 || value > (1U << 20U)) {
        throw Error(ErrorKind::malformed,
                    format("config key {} is {}, expected 1 to 1048576", in_quotes(key), value));
    }
    return value;
}

std::uint64_t size_or(const Json& config, std::string_view key, std::uint64_t otherwise) {
    return has(config, key) ? size(config, key) : otherwise;
}

bool flag(const Json& config, std::string_view key, bool otherwise) {
    return has(config, key) ? config.at(key).as_boolean(key) : otherwise;
}

struct Sizes {
    std::uint64_t hidden = 0;
    std::uint64_t queries = 0;
    std::uint64_t keys = 0;
    std::uint64_t head = 0;
};

class TensorList {
public:
    void add(const std::string& name, Shape shape) {
        tensors_.push_back(
            {.name = name + ".weight", .dtype = DType::f32, .shape = std::move(shape)});
    }
    void add_attention(const std::string& prefix, const Sizes& sizes, bool has_norms) {
        add(prefix + "q_proj", {sizes.queries, sizes.hidden});
        add(prefix + "k_proj", {sizes.keys, sizes.hidden});
        add(prefix + "v_proj", {sizes.keys, sizes.hidden});
        add(prefix + "o_proj", {sizes.hidden, sizes.queries});
        if (has_norms) {
            add(prefix + "q_norm", {sizes.head});
            add(prefix + "k_norm", {sizes.head});
        }
    }
    std::vector<formats::TensorSpec> take() && { return std::move(tensors_); }

private:
    std::vector<formats::TensorSpec> tensors_;
};

bool is_lightning(const Json& config, std::size_t layer) {
    if (!has(config, "mixer_types")) {
        return false;
    }
    const auto& mixers = config.at("mixer_types").as_array("mixer_types");
    if (layer >= mixers.size()) {
        throw Error(ErrorKind::malformed,
                    format("'mixer_types' has {} entries, too few for the layers", mixers.size()));
    }
    return mixers[layer].as_string("mixer_types") != "attn";
}

Sizes softmax_sizes(const Json& config) {
    const std::uint64_t hidden = size(config, "hidden_size");
    const std::uint64_t heads = size(config, "num_attention_heads");
    const std::uint64_t head = size_or(config, "head_dim", hidden / heads);
    return {.hidden = hidden,
            .queries = heads * head,
            .keys = size_or(config, "num_key_value_heads", heads) * head,
            .head = head};
}

Sizes lightning_sizes(const Json& config, const Sizes& softmax) {
    const std::uint64_t head = size_or(config, "lightning_head_dim", softmax.head);
    return {.hidden = softmax.hidden,
            .queries = size_or(config, "lightning_nh", softmax.queries / softmax.head) * head,
            .keys = size_or(config, "lightning_nkv", softmax.keys / softmax.head) * head,
            .head = head};
}

void add_lightning(TensorList& list,
                   const std::string& prefix,
                   const Sizes& sizes,
                   const Json& config) {
    list.add_attention(prefix, sizes, flag(config, "lightning_use_qk_norm", false));
    if (flag(config, "lightning_use_output_gate", false)) {
        list.add(prefix + "z_proj", {sizes.queries, sizes.hidden});
    }
    if (flag(config, "lightning_use_output_norm", false)) {
        list.add(prefix + "o_norm", {sizes.queries});
    }
}

std::vector<formats::TensorSpec> tensors_of(const Json& config) {
    const std::string& type = config.at("model_type").as_string("model_type");
    if (type != "hypenet" && type != "qwen3") {
        throw Error(
            ErrorKind::unsupported,
            format("random weights are made for hypenet and qwen3, not for {}", in_quotes(type)));
    }
    const Sizes softmax = softmax_sizes(config);
    const std::uint64_t vocabulary = size(config, "vocab_size");
    const std::uint64_t width = size(config, "intermediate_size");
    TensorList list;
    list.add("model.embed_tokens", {vocabulary, softmax.hidden});
    for (std::uint64_t layer = 0; layer < size(config, "num_hidden_layers"); ++layer) {
        const std::string prefix = format("model.layers.{}.", layer);
        list.add(prefix + "input_layernorm", {softmax.hidden});
        if (is_lightning(config, layer)) {
            add_lightning(list, prefix + "self_attn.", lightning_sizes(config, softmax), config);
        } else {
            list.add_attention(prefix + "self_attn.", softmax, /*has_norms=*/true);
            if (flag(config, "attn_use_output_gate", false)) {
                list.add(prefix + "self_attn.o_gate", {softmax.queries, softmax.hidden});
            }
        }
        list.add(prefix + "post_attention_layernorm", {softmax.hidden});
        list.add(prefix + "mlp.gate_proj", {width, softmax.hidden});
        list.add(prefix + "mlp.up_proj", {width, softmax.hidden});
        list.add(prefix + "mlp.down_proj", {softmax.hidden, width});
    }
    list.add("model.norm", {softmax.hidden});
    if (!flag(config, "tie_word_embeddings", true)) {
        list.add("lm_head", {vocabulary, softmax.hidden});
    }
    return std::move(list).take();
}

double deviation_of(const formats::TensorSpec& tensor,
                    Initialiser initialiser,
                    const Json& config) {
    if (initialiser == Initialiser::range) {
        return has(config, "initializer_range")
                   ? config.at("initializer_range").as_double("initializer_range")
                   : 0.02;
    }
    if (tensor.name.ends_with("embed_tokens.weight")) {
        return 0.05;
    }
    const double deviation = 1.0 / std::sqrt(static_cast<double>(tensor.shape[1]));
    const bool adds_to_stream =
        tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight");
    const auto layers = static_cast<double>(size(config, "num_hidden_layers"));
    return adds_to_stream ? deviation / std::sqrt(2.0 * layers) : deviation;
}

std::uint64_t hash_of(std::string_view name) {
    // FNV-1a: a stream of its own for every tensor, whatever stands before it.
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : name) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
    return hash;
}

/// The type that config.json asks for.
DType dtype_of(const Json& config) {
    for (const char* key : {"dtype", "torch_dtype"}) {
        if (!has(config, key)) {
            continue;
        }
        const std::string& name = config.at(key).as_string(key);
        if (name == "bfloat16") {
            return DType::bf16;
        }
        if (name != "float32") {
            throw Error(ErrorKind::unsupported,
                        format("random weights are made in float32 and bfloat16, not in {}",
                               in_quotes(name)));
        }
    }
    return DType::f32;
}

std::vector<double> weights_of(const formats::TensorSpec& tensor,
                               Initialiser initialiser,
                               std::uint64_t seed,
                               const Json& config) {
    std::vector<double> values(find_element_count(tensor.shape).value_or(0), 1.0);
    if (tensor.shape.size() == 2) {
        const double deviation = deviation_of(tensor, initialiser, config);
        Random random(Random(seed).next() ^ hash_of(tensor.name));
        for (double& value : values) {
            value = deviation * random.normal();
        }
    }
    return values;
}

}  // namespace

void write_initial_checkpoint(const Json& config,
                              Initialiser initialiser,
                              std::uint64_t seed,
                              const std::filesystem::path& folder) {
    std::vector<formats::TensorSpec> tensors = tensors_of(config);
    for (formats::TensorSpec& tensor : tensors) {
        tensor.dtype = dtype_of(config);
    }
    const auto prologue = formats::make_safetensors_prologue(tensors, {{"format", "pt"}});
    std::filesystem::create_directories(folder);
    io::AtomicFile file{folder / "model.safetensors"};
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::vector<double> values = weights_of(tensors[i], initialiser, seed, config);
        std::vector<std::byte> bytes(values.size() * element_bytes(tensors[i].dtype));
        narrow(tensors[i].dtype, values, bytes);
        file.file().write_at(prologue.bytes.size() + prologue.offsets[i], bytes);
    }
    file.commit();
    io::write_text_atomically(folder / "config.json", config.dump(2) + "\n");
}

}  // namespace anamnesis::train
