// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/example.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using checkpoint::Blueprint;
using checkpoint::PlannedTensor;

constexpr std::uint32_t layer_count = 8;

Json make_config() {
    Json mixers = Json::array();
    for (std::uint32_t layer = 0; layer < layer_count; ++layer) {
        mixers.push_back(layer == 2 || layer == 5 ? "attn" : "lightning-attn");
    }
    return Json::Object{{"architectures", Json::Array{"HypeNetForCausalLM"}},
                        {"model_type", "hypenet"},
                        {"hidden_size", 64},
                        {"intermediate_size", 128},
                        {"num_hidden_layers", layer_count},
                        {"num_attention_heads", 4},
                        {"num_key_value_heads", 2},
                        {"head_dim", 16},
                        {"mixer_types", std::move(mixers)},
                        {"lightning_nh", 4},
                        {"lightning_nkv", 4},
                        {"lightning_head_dim", 16},
                        {"attn_use_rope", false},
                        {"attn_use_output_gate", true},
                        {"rope_theta", 1000000.0},
                        {"rms_norm_eps", 1e-6},
                        {"tie_word_embeddings", true},
                        {"vocab_size", 256},
                        {"torch_dtype", "bfloat16"}};
}

/// Everything planned but the biases that a HypeNet may have. The config leaves out which parts its
/// linear layers use; released checkpoints hold all of them.
std::vector<const PlannedTensor*> choose_tensors(const Blueprint& blueprint) {
    std::vector<const PlannedTensor*> chosen;
    for (const PlannedTensor& tensor : blueprint.tensors) {
        if (tensor.presence != checkpoint::Presence::absent && !tensor.role.ends_with(".bias")) {
            chosen.push_back(&tensor);
        }
    }
    return chosen;
}

/// How far the stand-in for a fine-tune moves a tensor, relative to its size.
double find_drift(const PlannedTensor& tensor) {
    const bool is_routing = tensor.attention && (tensor.role == checkpoint::role::query ||
                                                 tensor.role == checkpoint::role::key);
    return is_routing ? 0.3 : 0.05;
}

enum class Side : std::uint8_t { pre, post };

/// `number` of the tensor in the file, which its weights depend on.
std::vector<double> make_values(const PlannedTensor& tensor, std::size_t number, Side side) {
    Random weights(2 * number);
    Random change(2 * number + 1);
    const bool is_norm = tensor.shape.size() == 1;
    const double scale = is_norm ? 0.02 : 0.1;
    std::vector<double> values(find_element_count(tensor.shape).value_or(0));
    for (double& value : values) {
        value = (is_norm ? 1.0 : 0.0) + scale * weights.normal();
        if (side == Side::post) {
            value += scale * find_drift(tensor) * change.normal();
        }
    }
    return values;
}

void write_side(const io::AtomicDirectory& output, Side side) {
    const Json config = make_config();
    const Blueprint blueprint = checkpoint::make_blueprint(config);
    const std::vector<const PlannedTensor*> tensors = choose_tensors(blueprint);
    std::vector<formats::TensorSpec> specs;
    for (const PlannedTensor* tensor : tensors) {
        specs.push_back({.name = blueprint.prefix + tensor->name,
                         .dtype = DType::bf16,
                         .shape = tensor->shape});
    }
    const auto prologue = formats::make_safetensors_prologue(specs, {{"format", "pt"}});
    io::File file = io::File::create(output.path() / "model.safetensors");
    file.write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::vector<double> values = make_values(*tensors[i], i, side);
        std::vector<std::byte> bytes(values.size() * 2);
        narrow(DType::bf16, values, bytes);
        file.write_at(prologue.bytes.size() + prologue.offsets[i], bytes);
    }
    file.sync();
    file.close();
    const std::string text = config.dump(2) + "\n";
    const io::File settings = io::File::create(output.path() / "config.json");
    settings.write_at(0, std::as_bytes(std::span(text)));
    settings.sync();
}

}  // namespace

void write_example_pair(const fs::path& folder) {
    // Neither is seen before both are whole.
    io::AtomicDirectory pre(folder / "pre");
    io::AtomicDirectory post(folder / "post");
    write_side(pre, Side::pre);
    write_side(post, Side::post);
    pre.commit();
    post.commit();
}

}  // namespace anamnesis::restore
