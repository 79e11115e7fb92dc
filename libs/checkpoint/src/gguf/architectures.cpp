// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"

namespace anamnesis::checkpoint {
namespace {

using Pairs = RotaryLayout::Pairs;

/// Plain softmax attention; converters that write the halves of heads interleaved, and loaders that
/// turn neighbouring rows.
std::vector<GgufArchitecture> make_interleaved() {
    std::vector<GgufArchitecture> list;
    const auto add = [&](std::string_view name,
                         std::vector<std::string_view> families,
                         std::string_view evidence = from_source) {
        list.push_back({.name = name,
                        .families = std::move(families),
                        .pairs = Pairs::interleaved,
                        .interleaves_rows = true,
                        .evidence = evidence});
    };
    add("llama", {"llama", "mistral", "mixtral"}, verified);
    add("granite", {"granite", "llama"});
    add("granitemoe", {"granitemoe"});
    add("mistral3", {"mistral3", "mistral"});
    add("smollm3", {"smollm3", "llama"});
    add("arcee", {"arcee"});
    add("olmo", {"olmo"});
    add("internlm2", {"internlm2"});
    add("bailingmoe", {"bailing_moe"});
    return list;
}

/// Plain softmax attention in the order of rows of the family's own checkpoints.
std::vector<GgufArchitecture> make_plain() {
    return {
        {.name = "qwen2", .families = {"qwen2"}, .evidence = verified},
        {.name = "qwen2moe", .families = {"qwen2_moe"}},
        {.name = "qwen3", .families = {"qwen3"}, .evidence = verified},
        {.name = "qwen3moe", .families = {"qwen3_moe"}},
        {.name = "gemma", .families = {"gemma"}, .adds_one_to_gains = true},
        {.name = "gemma2", .families = {"gemma2"}, .sliding_period = 2, .adds_one_to_gains = true},
        {.name = "gemma3",
         .families = {"gemma3"},
         .sliding_period = 6,
         .adds_one_to_gains = true,
         .evidence = verified},
        {.name = "olmo2", .families = {"olmo2"}, .sliding_period = 4},
        {.name = "minimax-m2", .families = {"minimax_m2"}},
        {.name = "gpt-oss", .families = {"gpt_oss"}, .sliding_period = 2, .evidence = verified},
        {.name = "phi3", .families = {"phi3"}, .sliding_period = 0, .evidence = verified},
        {.name = "gptneox", .families = {"gpt_neox"}},
        {.name = "bailingmoe2", .families = {"bailing_moe_v2"}},
    };
}

std::vector<GgufArchitecture> make_hybrid() {
    return {
        {.name = "qwen3next",
         .families = {"qwen3_next"},
         .layers = GgufLayers::by_interval,
         .has_query_gates = true,
         .adds_one_to_gains = true,
         .evidence = verified},
        {.name = "qwen35",
         .families = {"qwen3_5"},
         .layers = GgufLayers::by_interval,
         .has_query_gates = true,
         .adds_one_to_gains = true,
         .evidence = verified},
        {.name = "qwen35moe",
         .families = {"qwen3_5"},
         .layers = GgufLayers::by_interval,
         .has_query_gates = true,
         .adds_one_to_gains = true},
        {.name = "minimax-01", .families = {"minimax"}, .layers = GgufLayers::by_interval},
        {.name = "falcon-h1",
         .families = {"falcon_h1"},
         .layers = GgufLayers::parallel,
         .has_multipliers = true,
         .evidence = verified},
        {.name = "granitehybrid",
         .families = {"granitemoehybrid", "bamba"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::interleaved,
         .interleaves_rows = true,
         .evidence = verified},
        {.name = "nemotron_h",
         .families = {"nemotron_h"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::none,
         .interleaves_rows = true},
        {.name = "nemotron_h_moe",
         .families = {"nemotron_h"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::none,
         .interleaves_rows = true,
         .evidence = verified},
        {.name = "jamba",
         .families = {"jamba"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::none,
         .evidence = verified},
        {.name = "lfm2",
         .families = {"lfm2"},
         .layers = GgufLayers::by_kv_heads,
         .other = LayerKind::conv,
         .evidence = verified},
        {.name = "lfm2moe",
         .families = {"lfm2_moe"},
         .layers = GgufLayers::by_kv_heads,
         .other = LayerKind::conv},
        {.name = "plamo2", .families = {"plamo2"}, .layers = GgufLayers::by_kv_heads},
        {.name = "plamo3", .families = {"plamo3"}, .sliding_period = 8},
    };
}

std::vector<GgufArchitecture> make_latent() {
    return {
        {.name = "deepseek2",
         .families = {"deepseek_v3", "deepseek_v2"},
         .pairs = Pairs::interleaved,
         .has_latent_keys = true},
        {.name = "kimi-linear",
         .families = {"kimi_linear"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::none,
         .has_latent_keys = true,
         .mixers_share_names = true,
         .evidence = verified},
        {.name = "kimi-k3",
         .families = {"kimi_k3"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::none,
         .has_latent_keys = true,
         .mixers_share_names = true},
        {.name = "bailingmoe3",
         .families = {"bailing_hybrid"},
         .layers = GgufLayers::by_kv_heads,
         .pairs = Pairs::interleaved,
         .has_latent_keys = true,
         .mixers_share_names = true},
    };
}

const std::vector<GgufArchitecture>& all_architectures() {
    static const std::vector<GgufArchitecture> all = [] {
        std::vector<GgufArchitecture> list = make_interleaved();
        for (auto&& more : {make_plain(), make_hybrid(), make_latent()}) {
            list.insert(list.end(), more.begin(), more.end());
        }
        return list;
    }();
    return all;
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
    const auto& all = all_architectures();
    const auto found = std::ranges::find(all, name, &GgufArchitecture::name);
    return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> known_gguf_architectures() {
    std::vector<std::string> names;
    for (const GgufArchitecture& architecture : all_architectures()) {
        names.emplace_back(architecture.name);
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace anamnesis::checkpoint
