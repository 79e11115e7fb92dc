// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::testing {

/// A tensor to be forged; its bytes are random but depend on `seed` and the name alone.
struct ForgedTensor {
    std::string name;
    Shape shape;
    DType dtype = DType::bf16;
};

/// The bytes of a safetensors file that holds `tensors` in the given order.
inline std::string forge_safetensors(const std::vector<ForgedTensor>& tensors,
                                     std::uint64_t seed = 1) {
    Json header = Json::object();
    std::string data;
    for (const ForgedTensor& tensor : tensors) {
        const std::uint64_t bytes = find_byte_count(tensor.dtype, tensor.shape).value();
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.shape) {
            shape.push_back(size);
        }
        Json offsets = Json::array();
        offsets.push_back(std::uint64_t{data.size()});
        offsets.push_back(std::uint64_t{data.size() + bytes});
        Json entry = Json::object();
        entry.set("dtype", to_string(tensor.dtype));
        entry.set("shape", std::move(shape));
        entry.set("data_offsets", std::move(offsets));
        header.set(tensor.name, std::move(entry));
        std::uint64_t mixed = seed;
        for (const char c : tensor.name) {
            mixed = mixed * 31 + static_cast<unsigned char>(c);
        }
        Random random(mixed);
        for (std::uint64_t i = 0; i < bytes; ++i) {
            // Small exponents only: no value is infinite or NaN in any type.
            data.push_back(static_cast<char>(random.below(60)));
        }
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string file;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        file.push_back(static_cast<char>((std::uint64_t{text.size()} >> shift) & 0xFFU));
    }
    return file + text + data;
}

/// A checkpoint folder under construction: `write` puts config.json and the weights where
/// `save_pretrained` would.
struct ForgedCheckpoint {
    Json config = Json::object();
    std::vector<ForgedTensor> tensors;

    ForgedCheckpoint& add(std::string name, Shape shape, DType dtype = DType::bf16) {
        tensors.push_back({std::move(name), std::move(shape), dtype});
        return *this;
    }
    ForgedCheckpoint& remove(std::string_view name) {
        std::erase_if(tensors, [&](const ForgedTensor& tensor) { return tensor.name == name; });
        return *this;
    }
    /// Errors: std::out_of_range for a tensor that does not exist.
    ForgedTensor& at(std::string_view name) {
        for (ForgedTensor& tensor : tensors) {
            if (tensor.name == name) {
                return tensor;
            }
        }
        throw std::out_of_range(std::string(name));
    }

    /// One model.safetensors. A null config writes none.
    void write(const TemporaryFolder& folder, std::uint64_t seed = 1) const {
        if (!config.is_null()) {
            folder.write("config.json", config.dump(2));
        }
        folder.write("model.safetensors", forge_safetensors(tensors, seed));
    }

    /// `shards` files with an index; tensors are dealt out in turn.
    void write_sharded(const TemporaryFolder& folder,
                       std::size_t shards,
                       std::uint64_t seed = 1) const {
        if (!config.is_null()) {
            folder.write("config.json", config.dump(2));
        }
        std::vector<std::vector<ForgedTensor>> parts(shards);
        Json map = Json::object();
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const std::size_t part = i % shards;
            parts[part].push_back(tensors[i]);
            map.set(tensors[i].name, shard_name(part, shards));
            total += find_byte_count(tensors[i].dtype, tensors[i].shape).value();
        }
        for (std::size_t part = 0; part < shards; ++part) {
            folder.write(shard_name(part, shards), forge_safetensors(parts[part], seed));
        }
        Json metadata = Json::object();
        metadata.set("total_size", total);
        Json index = Json::object();
        index.set("metadata", std::move(metadata));
        index.set("weight_map", std::move(map));
        folder.write("model.safetensors.index.json", index.dump(2));
    }

    static std::string shard_name(std::size_t part, std::size_t shards) {
        return format("model-{:05}-of-{:05}.safetensors", part + 1, shards);
    }
};

/// A Llama of `layers` layers: 2 heads of 4 rows, 1 key-value head, hidden size 8.
inline ForgedCheckpoint forged_llama(std::uint32_t layers = 2) {
    ForgedCheckpoint forged;
    forged.config = Json::parse(R"({"model_type": "llama", "hidden_size": 8, "vocab_size": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1, "rope_theta": 10000.0,
        "tie_word_embeddings": true})");
    forged.config.set("num_hidden_layers", layers);
    forged.add("model.embed_tokens.weight", {16, 8});
    for (std::uint32_t layer = 0; layer < layers; ++layer) {
        const std::string prefix = format("model.layers.{}.", layer);
        forged.add(prefix + "input_layernorm.weight", {8});
        forged.add(prefix + "self_attn.q_proj.weight", {8, 8});
        forged.add(prefix + "self_attn.k_proj.weight", {4, 8});
        forged.add(prefix + "self_attn.v_proj.weight", {4, 8});
        forged.add(prefix + "self_attn.o_proj.weight", {8, 8});
        forged.add(prefix + "mlp.up_proj.weight", {12, 8});
        forged.add(prefix + "post_attention_layernorm.weight", {8});
    }
    forged.add("model.norm.weight", {8});
    return forged;
}

}  // namespace anamnesis::testing
