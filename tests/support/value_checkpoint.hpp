// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::testing {

/// A tensor by its values; integers and E8M0 by what is stored.
struct ValueTensor {
    std::string name;
    Shape shape;
    std::vector<double> values;
    DType dtype = DType::bf16;
};

using ValueTensors = std::vector<ValueTensor>;

inline std::string store_values(const ValueTensor& tensor) {
    std::vector<std::byte> bytes(tensor.values.size() * element_bytes(tensor.dtype));
    if (is_arithmetic(tensor.dtype) || tensor.dtype == DType::f8_e4m3) {
        narrow(tensor.dtype, tensor.values, bytes);
    } else {
        for (std::size_t i = 0; i < tensor.values.size(); ++i) {
            const auto integer = static_cast<std::int32_t>(tensor.values[i]);
            std::memcpy(bytes.data() + i * element_bytes(tensor.dtype),
                        &integer,
                        element_bytes(tensor.dtype));
        }
    }
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Writes config.json and model.safetensors.
inline void write_values(const std::filesystem::path& folder,
                         const Json& config,
                         const ValueTensors& tensors) {
    Json header = Json::object();
    std::string data;
    for (const ValueTensor& tensor : tensors) {
        const std::string bytes = store_values(tensor);
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.shape) {
            shape.push_back(size);
        }
        header.set(tensor.name,
                   Json::Object{{"dtype", to_string(tensor.dtype)},
                                {"shape", std::move(shape)},
                                {"data_offsets",
                                 Json::Array{std::uint64_t{data.size()},
                                             std::uint64_t{data.size() + bytes.size()}}}});
        data += bytes;
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string length;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        length.push_back(static_cast<char>((std::uint64_t{text.size()} >> shift) & 0xFFU));
    }
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << config.dump(2);
    std::ofstream(folder / "model.safetensors", std::ios::binary) << length << text << data;
}

inline Json config_of_values() {
    return Json::parse(R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "vocab_size": 32,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6, "max_position_embeddings": 512, "tie_word_embeddings": true,
        "hidden_act": "silu"})");
}

inline bool is_routing_weight(const std::string& name) {
    return name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos;
}

/// A Llama of three layers with normal weights; `drift` moves W_Q and W_K by so much of their size.
inline ValueTensors make_llama_values(double drift = 0.0) {
    ValueTensors tensors;
    const auto add = [&](std::string name, Shape shape) {
        Random weights(tensors.size());
        Random change(1000 + tensors.size());
        std::vector<double> values(find_element_count(shape).value());
        for (double& value : values) {
            value = 0.05 * weights.normal();
            value += is_routing_weight(name) ? 0.05 * drift * change.normal() : 0.0;
        }
        tensors.push_back({std::move(name), std::move(shape), std::move(values)});
    };
    add("model.embed_tokens.weight", {32, 64});
    for (int layer = 0; layer < 3; ++layer) {
        const std::string prefix = format("model.layers.{}.", layer);
        add(prefix + "input_layernorm.weight", {64});
        add(prefix + "self_attn.q_proj.weight", {64, 64});
        add(prefix + "self_attn.k_proj.weight", {32, 64});
        add(prefix + "self_attn.v_proj.weight", {32, 64});
        add(prefix + "self_attn.o_proj.weight", {64, 64});
        add(prefix + "post_attention_layernorm.weight", {64});
        add(prefix + "mlp.gate_proj.weight", {96, 64});
        add(prefix + "mlp.up_proj.weight", {96, 64});
        add(prefix + "mlp.down_proj.weight", {64, 96});
    }
    add("model.norm.weight", {64});
    return tensors;
}

inline ValueTensor& find_values(ValueTensors& tensors, const std::string& name) {
    return *std::ranges::find(tensors, name, &ValueTensor::name);
}

/// The projections in E4M3 under scales of blocks, which `make_scale` makes of what each block
/// needs (its largest value over 448) and `finish` stores.
struct Fp8Storage {
    std::uint64_t rows = 1;     ///< of a block; 0: all
    std::uint64_t columns = 0;  ///< of a block; 0: all
    std::string suffix = "_scale";
    std::function<double(double)> make_scale = [](double needed) { return needed; };
    std::function<void(ValueTensor&)> finish = [](ValueTensor& scale) { scale.dtype = DType::f32; };
};

inline ValueTensors quantise_projections(const ValueTensors& tensors, const Fp8Storage& how) {
    constexpr double largest_e4m3 = 448.0;
    ValueTensors result;
    for (const ValueTensor& tensor : tensors) {
        result.push_back(tensor);
        if (!tensor.name.ends_with("_proj.weight")) {
            continue;
        }
        const std::uint64_t height = how.rows == 0 ? tensor.shape[0] : how.rows;
        const std::uint64_t width = how.columns == 0 ? tensor.shape[1] : how.columns;
        const std::uint64_t in_row = tensor.shape[1] / width;
        ValueTensor scale{.name = tensor.name + how.suffix,
                          .shape = {tensor.shape[0] / height, in_row},
                          .values = {}};
        scale.values.resize(scale.shape[0] * in_row);
        const auto block_of = [&](std::size_t i) {
            return i / tensor.shape[1] / height * in_row + i % tensor.shape[1] / width;
        };
        for (std::size_t i = 0; i < tensor.values.size(); ++i) {
            double& most = scale.values[block_of(i)];
            most = std::max(most, std::abs(tensor.values[i]) / largest_e4m3);
        }
        std::ranges::transform(scale.values, scale.values.begin(), how.make_scale);
        result.back().dtype = DType::f8_e4m3;
        for (std::size_t i = 0; i < tensor.values.size(); ++i) {
            result.back().values[i] /= scale.values[block_of(i)];
        }
        how.finish(scale);
        result.push_back(std::move(scale));
    }
    return result;
}

/// MXFP8: a power of two for 32 values of a row, whose exponent is stored.
inline Fp8Storage microscaling(DType dtype, std::string suffix) {
    return {.rows = 1,
            .columns = 32,
            .suffix = std::move(suffix),
            .make_scale = [](double needed) { return std::exp2(std::ceil(std::log2(needed))); },
            .finish =
                [dtype](ValueTensor& scale) {
                    scale.dtype = dtype;
                    for (double& value : scale.values) {
                        value = std::log2(value) + 127.0;
                    }
                }};
}

}  // namespace anamnesis::testing
