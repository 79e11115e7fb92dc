// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/file.hpp"

#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t hidden = 64;
constexpr std::uint64_t feed_forward = 128;
constexpr std::uint64_t vocabulary = 256;
constexpr std::uint64_t head_dim = 16;
constexpr std::uint64_t query_heads = 4;
constexpr std::uint64_t kv_heads = 2;
constexpr std::uint32_t layer_count = 8;

bool is_softmax(std::uint32_t layer) {
    return layer == 2 || layer == 5;
}

Json config() {
    Json mixers = Json::array();
    for (std::uint32_t layer = 0; layer < layer_count; ++layer) {
        mixers.push_back(is_softmax(layer) ? "attn" : "lightning-attn");
    }
    return Json::Object{{"architectures", Json::Array{"HypeNetForCausalLM"}},
                        {"model_type", "hypenet"},
                        {"hidden_size", hidden},
                        {"intermediate_size", feed_forward},
                        {"num_hidden_layers", layer_count},
                        {"num_attention_heads", query_heads},
                        {"num_key_value_heads", kv_heads},
                        {"head_dim", head_dim},
                        {"mixer_types", std::move(mixers)},
                        {"lightning_nh", query_heads},
                        {"lightning_nkv", query_heads},
                        {"lightning_head_dim", head_dim},
                        {"attn_use_rope", false},
                        {"attn_use_output_gate", true},
                        {"rope_theta", 1000000.0},
                        {"rms_norm_eps", 1e-6},
                        {"tie_word_embeddings", true},
                        {"vocab_size", vocabulary},
                        {"torch_dtype", "bfloat16"}};
}

/// The tensors of a HypeNet checkpoint of a small size.
std::vector<formats::TensorSpec> tensors() {
    std::vector<formats::TensorSpec> list;
    const auto add = [&](const std::string& name, Shape shape) {
        list.push_back({.name = name + ".weight", .dtype = DType::bf16, .shape = std::move(shape)});
    };
    add("model.embed_tokens", {vocabulary, hidden});
    for (std::uint32_t layer = 0; layer < layer_count; ++layer) {
        const std::string prefix = format("model.layers.{}.", layer);
        const std::string attention = prefix + "self_attn.";
        const std::uint64_t wide = query_heads * head_dim;
        const std::uint64_t keys = is_softmax(layer) ? kv_heads * head_dim : wide;
        add(prefix + "input_layernorm", {hidden});
        add(attention + "q_proj", {wide, hidden});
        add(attention + "k_proj", {keys, hidden});
        add(attention + "v_proj", {keys, hidden});
        add(attention + "o_proj", {hidden, wide});
        add(attention + "q_norm", {head_dim});
        add(attention + "k_norm", {head_dim});
        if (is_softmax(layer)) {
            add(attention + "o_gate", {wide, hidden});
        } else {
            add(attention + "z_proj", {wide, hidden});
            add(attention + "o_norm", {wide});
        }
        add(prefix + "post_attention_layernorm", {hidden});
        add(prefix + "mlp.gate_proj", {feed_forward, hidden});
        add(prefix + "mlp.up_proj", {feed_forward, hidden});
        add(prefix + "mlp.down_proj", {hidden, feed_forward});
    }
    add("model.norm", {hidden});
    return list;
}

bool is_routing(std::string_view name) {
    return (name.starts_with("model.layers.2.") || name.starts_with("model.layers.5.")) &&
           (name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight"));
}

/// How far the stand-in for a fine-tune moves a tensor, relative to its size.
double find_drift(std::string_view name) {
    return is_routing(name) ? 0.3 : 0.05;
}

enum class Side : std::uint8_t { pre, post };

void write(const fs::path& folder, Side side) {
    io::AtomicDirectory output(folder);
    const auto list = tensors();
    const auto prologue = formats::make_safetensors_prologue(list, {{"format", "pt"}});
    io::File file = io::File::create(output.path() / "model.safetensors");
    file.write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::uint64_t count = find_element_count(list[i].shape).value_or(0);
        Random weights(2 * i);
        Random change(2 * i + 1);
        const bool is_norm = list[i].shape.size() == 1;
        std::vector<double> values(count);
        for (double& value : values) {
            const double scale = is_norm ? 0.02 : 0.1;
            value = (is_norm ? 1.0 : 0.0) + scale * weights.normal();
            if (side == Side::post) {
                value += scale * find_drift(list[i].name) * change.normal();
            }
        }
        std::vector<std::byte> bytes(count * 2);
        narrow(DType::bf16, values, bytes);
        file.write_at(prologue.bytes.size() + prologue.offsets[i], bytes);
    }
    file.sync();
    file.close();
    const std::string text = config().dump(2) + "\n";
    const io::File settings = io::File::create(output.path() / "config.json");
    settings.write_at(0, std::as_bytes(std::span(text)));
    settings.sync();
    output.commit();
}

struct ExampleOptions {
    CommonOptions common{};
    std::string folder{};
};

void declare(CLI::App& app, ExampleOptions& options) {
    app.add_option("folder", options.folder, "Where pre/ and post/ go.")->required();
}

int run(const ExampleOptions& options, Terminal& terminal) {
    const fs::path folder(options.folder);
    write(folder / "pre", Side::pre);
    write(folder / "post", Side::post);
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"pre", (folder / "pre").string()},
                                          {"post", (folder / "post").string()}})
                            .dump(2) +
                        "\n");
    }
    terminal.say(
        format("{0}/pre and {0}/post: a HypeNet-shaped pair with random weights; post is "
               "pre moved by 5 %, W_Q and W_K of layers 2 and 5 by 30 %",
               folder.string()));
    return 0;
}

}  // namespace

Action add_example(CLI::App& app) {
    return make_action<ExampleOptions>(app, declare, run);
}

}  // namespace anamnesis::app
