// SPDX-License-Identifier: Apache-2.0
#include "gguf/sizes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "attention_rules.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::string_view kv_heads_key = "attention.head_count_kv";

std::uint32_t bounded(std::uint64_t value, const std::string& key) {
    if (value > ConfigReader::largest_count) {
        throw Error(ErrorKind::malformed,
                    format("key {} is {}, expected at most {}",
                           in_quotes(key),
                           value,
                           ConfigReader::largest_count));
    }
    return static_cast<std::uint32_t>(value);
}

/// One entry for each layer, and maybe more for a draft head.
template <class Values>
void expect_length(const GgufKeys& keys,
                   std::string_view key,
                   const Values& values,
                   std::size_t layers) {
    if (values.size() < layers) {
        throw Error(ErrorKind::malformed,
                    format("key '{}.{}' has {} entries, expected one for each of {} layers",
                           keys.architecture(),
                           key,
                           values.size(),
                           layers));
    }
}

/// Which layers attend over a window, by the file or, where it has a window and no pattern, by the
/// architecture.
std::vector<bool> read_sliding(const GgufKeys& keys,
                               const GgufArchitecture& architecture,
                               std::uint32_t layers) {
    std::vector<bool> sliding(layers, false);
    constexpr std::string_view pattern = "attention.sliding_window_pattern";
    if (keys.find_count("attention.sliding_window").value_or(0) == 0) {
        return sliding;
    }
    // The pattern is a list, or the period of one.
    if (!keys.is_list_of_flags(pattern)) {
        const std::uint32_t period = keys.find_count(pattern).value_or(architecture.sliding_period);
        for (std::uint32_t i = 0; i < layers; ++i) {
            sliding[i] = period == 0 || i % period != period - 1;
        }
        return sliding;
    }
    const auto listed = keys.find_flags(pattern);
    expect_length(keys, pattern, *listed, layers);
    std::copy_n(listed->begin(), layers, sliding.begin());
    return sliding;
}

std::vector<Layer> make_softmax_layers(const GgufKeys& keys,
                                       const GgufArchitecture& architecture,
                                       std::uint32_t count) {
    const std::vector<bool> sliding = read_sliding(keys, architecture, count);
    std::vector<Layer> layers;
    for (std::uint32_t i = 0; i < count; ++i) {
        const LayerKind kind = architecture.has_latent_keys ? LayerKind::mla
                               : sliding[i]                 ? LayerKind::sliding
                                                            : LayerKind::full;
        layers.push_back({.index = LayerIndex{i}, .kinds = {kind}});
        if (architecture.layers == GgufLayers::parallel) {
            layers.back().kinds.push_back(LayerKind::linear);
        }
    }
    return layers;
}

void mark_by_kv_heads(const GgufKeys& keys,
                      const GgufArchitecture& architecture,
                      std::vector<Layer>& layers) {
    const auto heads = keys.find_counts(kv_heads_key);
    // One number for all layers: every layer attends.
    if (!heads || heads->size() == 1) {
        return;
    }
    expect_length(keys, kv_heads_key, *heads, layers.size());
    // Layers of Nemotron-H are a mixer or a feed-forward, never both.
    const auto widths = architecture.name.starts_with("nemotron_h")
                            ? keys.find_counts("feed_forward_length")
                            : std::nullopt;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        if ((*heads)[i] == 0) {
            const bool is_feed_forward = widths && i < widths->size() && (*widths)[i] > 0;
            layers[i].kinds = {is_feed_forward ? LayerKind::mlp : architecture.other};
        }
    }
}

void mark_by_interval(const GgufKeys& keys,
                      const GgufArchitecture& architecture,
                      std::vector<Layer>& layers) {
    constexpr std::string_view listed_key = "attention.recurrent_layers";
    if (const auto recurrent = keys.find_flags(listed_key)) {
        expect_length(keys, listed_key, *recurrent, layers.size());
        for (std::size_t i = 0; i < layers.size(); ++i) {
            if ((*recurrent)[i]) {
                layers[i].kinds = {architecture.other};
            }
        }
        return;
    }
    const std::uint32_t interval = keys.find_count("full_attention_interval").value_or(4);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        if (interval == 0 || (i + 1) % interval != 0) {
            layers[i].kinds = {architecture.other};
        }
    }
}

}  // namespace

GgufKeys::GgufKeys(const formats::GgufFile& file)
    : metadata_(file.metadata), architecture_(file.architecture()) {}

std::string GgufKeys::full(std::string_view key) const {
    return format("{}.{}", architecture_, key);
}

bool GgufKeys::has(std::string_view key) const {
    return metadata_.has(full(key));
}

bool GgufKeys::is_list_of_flags(std::string_view key) const {
    const formats::GgufKey* found = metadata_.find(full(key));
    return found != nullptr && found->type == formats::GgufType::array &&
           found->element == formats::GgufType::boolean;
}

std::optional<std::uint32_t> GgufKeys::find_count(std::string_view key) const {
    const auto value = metadata_.find_count(full(key));
    return value ? std::optional(bounded(*value, full(key))) : std::nullopt;
}

std::optional<double> GgufKeys::find_number(std::string_view key) const {
    return metadata_.find_number(full(key));
}

std::optional<std::string> GgufKeys::find_string(std::string_view key) const {
    return metadata_.find_string(full(key));
}

std::optional<std::vector<std::uint64_t>> GgufKeys::find_counts(std::string_view key) const {
    return metadata_.find_counts(full(key));
}

std::optional<std::vector<bool>> GgufKeys::find_flags(std::string_view key) const {
    return metadata_.find_flags(full(key));
}

std::optional<std::uint32_t> GgufKeys::find_common_count(std::string_view key,
                                                         const std::vector<bool>& counted) const {
    const auto values = find_counts(key);
    if (!values || values->empty()) {
        return std::nullopt;
    }
    std::uint32_t common = 0;
    for (std::size_t i = 0; i < values->size(); ++i) {
        const std::uint32_t count = bounded((*values)[i], full(key));
        if (values->size() == counted.size() && !counted[i]) {
            continue;
        }
        if (common != 0 && count != 0 && count != common) {
            throw Error(ErrorKind::unsupported,
                        format("key {} has {} for one layer and {} for another; layers of "
                               "different sizes are not read here",
                               in_quotes(full(key)),
                               common,
                               count));
        }
        common = std::max(common, count);
    }
    return common == 0 && !counted.empty() ? find_common_count(key) : common;
}

std::uint32_t GgufKeys::count(std::string_view key) const {
    const auto value = find_count(key);
    if (!value) {
        throw Error(ErrorKind::malformed, format("the key {} is missing", in_quotes(full(key))));
    }
    return *value;
}

std::uint32_t count_gguf_layers(const GgufKeys& keys) {
    const std::uint32_t blocks = keys.count("block_count");
    const std::uint32_t drafts = keys.find_count("nextn_predict_layers").value_or(0);
    constexpr std::uint32_t most_layers = 65'536;
    if (blocks <= drafts || blocks > most_layers) {
        throw Error(ErrorKind::malformed,
                    format("the file has {} blocks, {} of them of a draft head; expected 1 to {} "
                           "of the model",
                           blocks,
                           drafts,
                           most_layers));
    }
    return blocks - drafts;
}

std::vector<Layer> read_gguf_layers(const GgufKeys& keys, const GgufArchitecture& architecture) {
    std::vector<Layer> layers = make_softmax_layers(keys, architecture, count_gguf_layers(keys));
    if (architecture.layers == GgufLayers::by_kv_heads) {
        mark_by_kv_heads(keys, architecture, layers);
    } else if (architecture.layers == GgufLayers::by_interval) {
        mark_by_interval(keys, architecture, layers);
    }
    return layers;
}

HeadLayout read_gguf_heads(const GgufKeys& keys, const GgufArchitecture& architecture) {
    const auto query_heads = keys.find_common_count("attention.head_count");
    if (!query_heads) {
        throw Error(ErrorKind::malformed,
                    format("the key '{}.attention.head_count' is missing", keys.architecture()));
    }
    if (architecture.has_latent_keys) {
        // Files of before the absorbed form have the width of a head under the plain key.
        const auto width = keys.find_count("attention.key_length_mla");
        return check_heads({.query_heads = *query_heads,
                            .kv_heads = *query_heads,
                            .head_dim = width ? *width : keys.count("attention.key_length")});
    }
    const std::uint32_t kv_heads = keys.find_common_count(kv_heads_key).value_or(*query_heads);
    const auto width = keys.find_count("attention.key_length");
    return check_heads({.query_heads = *query_heads,
                        .kv_heads = kv_heads,
                        .head_dim = width ? *width
                                    : *query_heads > 0
                                        ? keys.count("embedding_length") / *query_heads
                                        : 0});
}

}  // namespace anamnesis::checkpoint
