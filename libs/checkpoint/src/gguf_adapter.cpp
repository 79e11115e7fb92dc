// SPDX-License-Identifier: Apache-2.0
#include "gguf_adapter.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::checkpoint {
namespace {

/// "blk.3.attn_q": its block, and the module in it.
using Block = std::pair<std::uint32_t, std::string>;

std::optional<Block> find_block(std::string_view path) {
    constexpr std::string_view start = "blk.";
    if (!path.starts_with(start)) {
        return std::nullopt;
    }
    path.remove_prefix(start.size());
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
    if (error != std::errc{} || end == path.data() + path.size() || *end != '.') {
        return std::nullopt;
    }
    return Block(number, std::string(end + 1, path.data() + path.size()));
}

/// The roles that a projection of llama.cpp holds, in the order of its rows.
std::vector<RowRole> list_roles(std::string_view module) {
    if (module == "attn_q") {
        return {RowRole::query, RowRole::gate};
    }
    if (module == "attn_k") {
        return {RowRole::key};
    }
    if (module == "attn_v") {
        return {RowRole::value};
    }
    return {RowRole::query, RowRole::key, RowRole::value};
}

/// Whether the rows of a fused tensor are all queries, then all keys, then all values.
bool is_in_sections(const AttentionTensor& tensor) {
    return std::ranges::is_sorted(
        tensor.blocks, {}, [](const RowBlock& block) { return static_cast<int>(block.role); });
}

/// Whether a module is a projection of a layer with softmax attention.
bool is_projection(const RecognisedCheckpoint& base, const Block& block) {
    constexpr std::array<std::string_view, 4> projections{"attn_q", "attn_k", "attn_v", "attn_qkv"};
    return block.first < base.model.layers.size() && base.model.layers[block.first].is_softmax() &&
           std::ranges::find(projections, block.second) != projections.end();
}

/// Whether a base of safetensors has a block among its layers, or among those of its draft head,
/// which llama.cpp numbers after them.
bool has_block(const RecognisedCheckpoint& base, std::uint32_t number) {
    std::uint64_t count = base.model.layers.size();
    if (!base.checkpoint.config().is_null()) {
        const ConfigReader config(base.checkpoint.config());
        count += std::max(config.count("mtp_num_hidden_layers", 0),
                          config.count("num_nextn_predict_layers", 0));
    }
    return number < count || std::ranges::any_of(
                                 base.checkpoint.tensors(),
                                 [number](const TensorEntry& tensor) {
                                     const auto layer = find_layer(tensor.name);
                                     return layer && layer->value == number;
                                 });
}

/// Whether a base of safetensors has a module that is none of the projections found by their rows.
bool has_other_module(const RecognisedCheckpoint& base, const std::string& path) {
    constexpr std::array<std::string_view, 3> outside{"token_embd", "output", "output_norm"};
    const auto block = find_block(path);
    return block ? has_block(base, block->first) && !is_projection(base, *block)
                 : std::ranges::find(outside, path) != outside.end();
}

/// The rank that most modules have, the larger of two that equally many have; else `fallback`.
std::uint32_t find_common_rank(const std::vector<AdapterModule>& modules, std::uint32_t fallback) {
    std::map<std::uint32_t, std::size_t> counts;
    for (const AdapterModule& module : modules) {
        if (module.a != nullptr && !module.a->shape.empty() &&
            module.rank() <= std::numeric_limits<std::uint32_t>::max()) {
            ++counts[static_cast<std::uint32_t>(module.rank())];
        }
    }
    std::uint32_t common = fallback;
    std::size_t most = 0;
    for (const auto& [rank, count] : counts) {
        if (count >= most) {
            common = rank;
            most = count;
        }
    }
    return common;
}

/// The tensor of softmax attention that "blk.3.attn_q" is in a base of safetensors.
const AttentionTensor* find_attention_by_roles(const RecognisedCheckpoint& base,
                                               const std::string& path) {
    const auto block = find_block(path);
    if (!block || !is_projection(base, *block)) {
        return nullptr;
    }
    const std::vector<RowRole> wanted = list_roles(block->second);
    for (const AttentionTensor& tensor : base.model.attention) {
        if (!tensor.layer || tensor.layer->value != block->first ||
            tensor.group != AttentionGroup::weight) {
            continue;
        }
        std::set<RowRole> roles;
        for (const RowBlock& rows : tensor.blocks) {
            roles.insert(rows.role);
        }
        const bool is_fused = roles.contains(RowRole::query) && roles.contains(RowRole::key);
        const bool is_wanted = is_fused == (block->second == "attn_qkv") &&
                               roles.contains(wanted.front()) &&
                               std::ranges::all_of(roles, [&](RowRole role) {
                                   return std::ranges::find(wanted, role) != wanted.end();
                               });
        if (!is_wanted) {
            continue;
        }
        if (tensor.kind == LayerKind::mla || (roles.size() > 2 && !is_in_sections(tensor))) {
            throw Error(ErrorKind::unsupported,
                        format("{} is stored in another order by llama.cpp than {} of the base; "
                               "repair the adapter of PEFT and convert it again, or give a GGUF "
                               "base",
                               in_quotes(path),
                               in_quotes(tensor.name)));
        }
        return &tensor;
    }
    return nullptr;
}

}  // namespace

bool is_gguf_adapter(const std::filesystem::path& path) {
    std::error_code ignored;
    if (path.extension() != ".gguf" || !std::filesystem::is_regular_file(path, ignored)) {
        return false;
    }
    try {
        return formats::open_gguf(path).type() == "adapter";
    } catch (const Error& error) {
        // Whoever opens it as what it is told to be says what is wrong.
        if (error.kind() != ErrorKind::malformed) {
            throw;
        }
        return false;
    }
}

Adapter open_gguf_adapter(const std::filesystem::path& path) {
    Adapter adapter{.path = path, .weights = Checkpoint::open(path)};
    const formats::GgufMetadata& keys = adapter.weights.gguf()->metadata;
    const std::string kind = keys.find_string("adapter.type").value_or("lora");
    if (kind != "lora") {
        adapter.config.obstacles.push_back(
            {.sentence =
                 format("the adapter is of type {}, and only lora is handled", in_quotes(kind))});
    }
    const double alpha = keys.find_number("adapter.lora.alpha").value_or(0.0);
    if (!std::isfinite(alpha)) {
        throw Error(ErrorKind::malformed, format("adapter.lora.alpha is {}", alpha));
    }
    adapter.config.base_name = keys.find_string("general.base_model.0.name").value_or("");
    adapter.config.obstacles.push_back(
        {.reach = ObstacleReach::files,
         .sentence = "a GGUF adapter is repaired, or run beside its base, and not merged; to "
                     "merge, give the adapter of PEFT that it was converted from"});
    std::map<std::string, AdapterModule> modules;
    if (keys.has("adapter.alora.invocation_tokens")) {
        adapter.config.obstacles.push_back(
            {.reach = ObstacleReach::merge,
             .sentence = "the adapter is an activated LoRA, which acts only after its invocation "
                         "tokens; running or merging it would make it act everywhere"});
    }
    for (const TensorEntry& tensor : adapter.weights.tensors()) {
        bool is_known = false;
        for (const auto& [suffix, member] :
             {std::pair{std::string_view(".weight.lora_a"), &AdapterModule::a},
              std::pair{std::string_view(".weight.lora_b"), &AdapterModule::b}}) {
            if (tensor.name.ends_with(suffix)) {
                const std::string name = tensor.name.substr(0, tensor.name.size() - suffix.size());
                modules[name].path = name;
                modules[name].*member = &tensor;
                is_known = true;
            }
        }
        if (!is_known) {
            adapter.unknown.push_back(tensor.name);
        }
    }
    for (auto& [name, module] : modules) {
        adapter.modules.push_back(std::move(module));
    }
    adapter.config.rank = find_common_rank(adapter.modules, adapter.config.rank);
    adapter.config.alpha = alpha;
    adapter.config.has_unit_scale = alpha == 0.0;
    return adapter;
}

GgufPlace find_gguf_place(const RecognisedCheckpoint& base, const std::string& path) {
    if (base.checkpoint.gguf() == nullptr) {
        const AttentionTensor* attention = find_attention_by_roles(base, path);
        return attention == nullptr ? GgufPlace{.is_elsewhere = has_other_module(base, path)}
                                    : GgufPlace{.weight = &base.checkpoint.at(attention->name),
                                                .attention = attention};
    }
    const std::string name = path + ".weight";
    const TensorEntry* weight = base.checkpoint.find(name);
    // Of the embedding A is stored transposed.
    const bool is_turned = path == "token_embd";
    return {.weight = is_turned ? nullptr : weight,
            .attention = base.model.find_attention(name),
            .is_elsewhere = is_turned && weight != nullptr};
}

}  // namespace anamnesis::checkpoint
