// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "pairing.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::AttentionTensor;
using checkpoint::LayerKind;
using checkpoint::RowRole;

/// The pieces of one softmax layer that make its logits.
struct LayerRows {
    std::map<std::uint32_t, HeadRows> queries;
    std::map<std::uint32_t, HeadRows> query_biases;
    std::map<std::uint32_t, HeadRows> keys;
    std::map<std::uint32_t, HeadRows> key_biases;
    std::optional<HeadRows> shared_key;
    const checkpoint::TensorEntry* query_gain = nullptr;
    const checkpoint::TensorEntry* key_gain = nullptr;
    LayerKind kind = LayerKind::full;
    std::string low_rank_query;  ///< the tensor that says so
};

/// Layers in order; those of a draft head come after all others.
using LayerKey = std::pair<std::uint32_t, std::string>;

LayerKey make_key(const AttentionTensor& tensor) {
    if (tensor.layer) {
        return {tensor.layer->value, ""};
    }
    const std::size_t cut = tensor.canonical_name.rfind(".self_attn");
    return {0xFFFF'FFFFU, tensor.canonical_name.substr(0, cut)};
}

HeadRows make_rows(const RecognisedCheckpoint& pre,
                   const RecognisedCheckpoint& post,
                   const AttentionTensor& pre_tensor,
                   const AttentionTensor& post_tensor,
                   const PairedRows& pair) {
    return {.post = &post.checkpoint.at(post_tensor.name),
            .pre = &pre.checkpoint.at(pre_tensor.name),
            .post_row = pair.post.rows.begin,
            .pre_row = pair.pre_row,
            .rows = pair.post.rows.size()};
}

void add_tensor(LayerRows& layer,
                const AttentionTensor& tensor,
                const PairedRows& pair,
                const HeadRows& rows) {
    const bool is_bias = tensor.group == AttentionGroup::bias;
    if (pair.post.role == RowRole::query) {
        if (!pair.post.head) {
            layer.low_rank_query = tensor.name;
        } else {
            (is_bias ? layer.query_biases : layer.queries).emplace(*pair.post.head, rows);
        }
    } else if (pair.post.role == RowRole::key) {
        if (pair.post.head) {
            (is_bias ? layer.key_biases : layer.keys).emplace(*pair.post.head, rows);
        } else {
            layer.shared_key = rows;
        }
    }
}

HeadRows take_rows(HeadRows rows, std::uint64_t first, std::uint64_t count) {
    rows.post_row += first;
    rows.pre_row += first;
    rows.rows = count;
    return rows;
}

HeadBlock make_block(std::uint32_t head,
                     const HeadRows& weight,
                     const std::map<std::uint32_t, HeadRows>& biases) {
    HeadBlock block{.head = head, .weight = weight};
    if (const auto bias = biases.find(head); bias != biases.end()) {
        block.bias = bias->second;
    }
    return block;
}

void add_grouped(const LayerRows& layer,
                 const std::optional<LayerIndex>& index,
                 const checkpoint::Model& model,
                 std::vector<RoutingGroup>& groups) {
    const auto group_size = layer.queries.size() / layer.keys.size();
    for (const auto& [kv_head, key] : layer.keys) {
        RoutingGroup group;
        group.layer = index;
        group.kv_head = kv_head;
        group.key = make_block(kv_head, key, layer.key_biases);
        group.rotary = model.rotary;
        group.query_gain = layer.query_gain;
        group.key_gain = layer.key_gain;
        for (const auto& [head, rows] : layer.queries) {
            if (head / group_size == kv_head) {
                group.queries.push_back(make_block(head, rows, layer.query_biases));
            }
        }
        groups.push_back(std::move(group));
    }
}

/// MLA: each head's rows without position have a key of their own; the rotary rows of all heads
/// meet the one key that the layer shares.
void add_latent(const LayerRows& layer,
                const std::optional<LayerIndex>& index,
                const checkpoint::Model& model,
                std::vector<RoutingGroup>& groups) {
    RoutingGroup shared;
    shared.layer = index;
    shared.is_shared_key = true;
    shared.rotary = model.rotary;
    shared.rotary.offset = 0;
    for (const auto& [head, key] : layer.keys) {
        const auto query = layer.queries.find(head);
        ANAMNESIS_CHECK(query != layer.queries.end(), "an MLA head has keys and no queries");
        RoutingGroup group;
        group.layer = index;
        group.kv_head = head;
        group.key = {.head = head, .weight = key};
        group.queries.push_back({.head = head, .weight = take_rows(query->second, 0, key.rows)});
        groups.push_back(std::move(group));
        if (layer.shared_key) {
            shared.queries.push_back(
                {.head = head,
                 .weight = take_rows(query->second, key.rows, query->second.rows - key.rows)});
        }
    }
    if (layer.shared_key) {
        shared.key = {.head = 0, .weight = *layer.shared_key};
        groups.push_back(std::move(shared));
    }
}

/// A stack of matrices, one for each head, has no rows of W_K (attn_k_b of GGUF).
void refuse_transposed(const HeadRows& key, const std::string& where) {
    if (key.post->shape.size() > 2) {
        throw Error(ErrorKind::unsupported,
                    format("the keys of {} are stored transposed, a matrix for each head ({}), so "
                           "its routing is not computed here; use --method qk",
                           where,
                           in_quotes(key.post->name)));
    }
}

bool takes(const Selection& selection, const AttentionTensor& tensor) {
    if (tensor.group == AttentionGroup::adapter ||
        (tensor.group == AttentionGroup::bias && !selection.has_biases) ||
        (tensor.kind == LayerKind::sliding && !selection.has_sliding) ||
        (tensor.is_draft_head && !selection.has_draft_heads)) {
        return false;
    }
    return !selection.layers || !tensor.layer || selection.layers->contains(tensor.layer->value) ||
           std::ranges::any_of(tensor.shared_by, [&](LayerIndex layer) {
               return selection.layers->contains(layer.value);
           });
}

}  // namespace

std::vector<RoutingGroup> routing_groups(const RecognisedCheckpoint& pre,
                                         const RecognisedCheckpoint& post,
                                         const Selection& selection) {
    const Pairing pairing(pre, post);
    std::map<LayerKey, LayerRows> layers;
    std::map<LayerKey, std::optional<LayerIndex>> indices;
    std::vector<std::string> ignored;
    for (const AttentionTensor& tensor : post.model.attention) {
        const AttentionTensor* counterpart = pairing.find_pre_attention(tensor);
        if (counterpart == nullptr || !takes(selection, tensor)) {
            continue;
        }
        LayerRows& layer = layers[make_key(tensor)];
        indices[make_key(tensor)] = tensor.layer;
        layer.kind = tensor.kind;
        for (const PairedRows& pair : pair_rows(*counterpart, tensor, ignored)) {
            if (tensor.group == AttentionGroup::norm) {
                const auto* gain = &post.checkpoint.at(tensor.name);
                (pair.post.role == RowRole::query ? layer.query_gain : layer.key_gain) = gain;
            } else {
                add_tensor(layer, tensor, pair, make_rows(pre, post, *counterpart, tensor, pair));
            }
        }
    }
    std::vector<RoutingGroup> groups;
    for (const auto& [key, layer] : layers) {
        const auto& index = indices[key];
        const std::string where = index ? format("layer {}", index->value) : key.second;
        if (!layer.low_rank_query.empty() && layer.kind == LayerKind::mla &&
            !layer.queries.empty()) {
            throw Error(ErrorKind::unsupported,
                        format("the queries of {} pass through the low-rank {}, so its routing has "
                               "no closed form; use --method qk",
                               where,
                               in_quotes(layer.low_rank_query)));
        }
        if (layer.queries.empty() || layer.keys.empty() ||
            layer.queries.size() % layer.keys.size() != 0) {
            throw Error(ErrorKind::unsupported,
                        format("the heads of {} are not known; give a config.json (--config) or a "
                               "routing map (--routing)",
                               where));
        }
        refuse_transposed(layer.keys.begin()->second, where);
        if (layer.kind == LayerKind::mla) {
            add_latent(layer, index, post.model, groups);
        } else {
            add_grouped(layer, index, post.model, groups);
        }
    }
    if (selection.kv_heads) {
        std::erase_if(groups, [&](const RoutingGroup& group) {
            return group.is_shared_key || !selection.kv_heads->contains(group.kv_head);
        });
    }
    return groups;
}

}  // namespace anamnesis::restore
