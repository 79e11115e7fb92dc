// SPDX-License-Identifier: Apache-2.0
#include "layer_kinds.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::uint32_t most_layers = 100'000;

struct Spelling {
    std::string_view word;
    LayerKind kind;
};

constexpr std::array spellings{
    Spelling{"full_attention", LayerKind::full},
    Spelling{"attention", LayerKind::full},
    Spelling{"attn", LayerKind::full},
    Spelling{"sliding_attention", LayerKind::sliding},
    Spelling{"swa", LayerKind::sliding},
    Spelling{"linear_attention", LayerKind::linear},
    Spelling{"mamba", LayerKind::linear},
    Spelling{"mamba2", LayerKind::linear},
    Spelling{"lightning-attn", LayerKind::linear},
    Spelling{"lightning_attn", LayerKind::linear},
    Spelling{"jet", LayerKind::linear},
    Spelling{"recurrent", LayerKind::linear},
    Spelling{"conv", LayerKind::conv},
    Spelling{"mlp", LayerKind::mlp},
    Spelling{"moe", LayerKind::mlp},
};

Kinds parse_kinds(std::string_view word, std::string_view key) {
    if (word == "hybrid") {
        return {LayerKind::full, LayerKind::linear};
    }
    const auto* const found = std::ranges::find(spellings, word, &Spelling::word);
    if (found == spellings.end()) {
        throw Error(ErrorKind::malformed,
                    format("config key {} names a kind of layer that is not known: {}",
                           in_quotes(key),
                           in_quotes(word)));
    }
    return {found->kind};
}

std::uint32_t check_count(std::uint32_t count) {
    if (count == 0 || count > most_layers) {
        throw Error(ErrorKind::malformed,
                    format("config.json declares {} layers, expected 1 to {}", count, most_layers));
    }
    return count;
}

}  // namespace

std::uint32_t read_layer_count(const ConfigReader& config, std::uint32_t fallback) {
    for (const std::string_view key : {"num_hidden_layers", "n_layer"}) {
        if (const auto count = config.find_count(key)) {
            return check_count(*count);
        }
    }
    return fallback != 0 ? check_count(fallback) : config.first_count({"num_hidden_layers"});
}

std::vector<Layer> make_layers(std::uint32_t count,
                               const std::function<Kinds(std::uint32_t)>& make_kinds) {
    std::vector<Layer> layers;
    layers.reserve(count);
    for (std::uint32_t index = 0; index < count; ++index) {
        layers.push_back({.index = LayerIndex(index), .kinds = make_kinds(index)});
    }
    return layers;
}

std::vector<Layer> make_uniform_layers(std::uint32_t count, LayerKind kind) {
    return make_layers(count, [kind](std::uint32_t) { return Kinds{kind}; });
}

std::optional<std::vector<Layer>> find_listed_layers(const ConfigReader& config,
                                                     std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
        const auto words = config.find_words(key);
        if (!words) {
            continue;
        }
        const std::uint32_t count =
            read_layer_count(config, static_cast<std::uint32_t>(words->size()));
        if (words->size() != count) {
            throw Error(ErrorKind::malformed,
                        format("config key {} lists {} layers, num_hidden_layers is {}",
                               in_quotes(key),
                               words->size(),
                               count));
        }
        return make_layers(count,
                           [&](std::uint32_t index) { return parse_kinds((*words)[index], key); });
    }
    return std::nullopt;
}

std::vector<Layer> with_full_as(std::vector<Layer> layers, LayerKind kind) {
    for (Layer& layer : layers) {
        std::ranges::replace(layer.kinds, LayerKind::full, kind);
    }
    return layers;
}

}  // namespace anamnesis::checkpoint
