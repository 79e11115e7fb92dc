// SPDX-License-Identifier: Apache-2.0
#include "select_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "pairing.hpp"
#include "splices.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::AttentionTensor;
using checkpoint::LayerKind;
using checkpoint::RowRole;
using checkpoint::TensorEntry;
using checkpoint::TensorGroup;

bool takes_role(const Selection& selection, RowRole role) {
    if (selection.is_by_group()) {
        switch (role) {
            case RowRole::query:
                return selection.groups.contains(TensorGroup::q);
            case RowRole::key:
                return selection.groups.contains(TensorGroup::k);
            case RowRole::value:
                return selection.groups.contains(TensorGroup::v);
            case RowRole::gate:
                return selection.groups.contains(TensorGroup::gate);
            case RowRole::latent:
                return selection.groups.contains(TensorGroup::latent);
        }
        return false;
    }
    switch (selection.method) {
        case Method::q:
            return role == RowRole::query;
        case Method::k:
            return role == RowRole::key;
        case Method::v:
            return role == RowRole::value;
        default:
            return role == RowRole::query || role == RowRole::key;
    }
}

std::string_view part_name(RowRole role) {
    switch (role) {
        case RowRole::query:
            return "q";
        case RowRole::key:
            return "k";
        case RowRole::value:
            return "v";
        case RowRole::gate:
            return "gate";
        case RowRole::latent:
            return "latent";
    }
    return "?";
}

bool takes_layer(const Selection& selection, const AttentionTensor& tensor) {
    if (!selection.layers || !tensor.layer) {
        return !selection.layers;
    }
    const auto is_chosen = [&](LayerIndex layer) {
        return selection.layers->contains(layer.value);
    };
    return is_chosen(*tensor.layer) || std::ranges::any_of(tensor.shared_by, is_chosen);
}

bool takes_tensor(const Selection& selection, const AttentionTensor& tensor) {
    const bool is_norm_group = selection.groups.contains(TensorGroup::norms);
    switch (tensor.group) {
        case AttentionGroup::weight:
            break;
        case AttentionGroup::bias:
            if (!selection.has_biases) {
                return false;
            }
            break;
        case AttentionGroup::norm:
            if (!selection.has_norms && !is_norm_group) {
                return false;
            }
            break;
        case AttentionGroup::adapter:
            if (!selection.has_adapters) {
                return false;
            }
            break;
    }
    if (tensor.kind == LayerKind::sliding && !selection.has_sliding) {
        return false;
    }
    if (tensor.is_draft_head) {
        return selection.has_draft_heads;
    }
    return takes_layer(selection, tensor);
}

bool takes_block(const Selection& selection,
                 const AttentionTensor& tensor,
                 const checkpoint::RowBlock& block,
                 const std::optional<HeadLayout>& heads) {
    // Norm gains belong to the norms, whatever rows they scale.
    const bool is_norm_group =
        tensor.group == AttentionGroup::norm && selection.groups.contains(TensorGroup::norms);
    if (!is_norm_group && !takes_role(selection, block.role)) {
        return false;
    }
    if (!selection.kv_heads) {
        return true;
    }
    if (!block.head || !heads) {
        return false;
    }
    const bool counts_query_heads = block.role == RowRole::query || block.role == RowRole::gate;
    const std::uint32_t kv_head =
        counts_query_heads ? heads->kv_head(QueryHead{*block.head}).value : *block.head;
    return selection.kv_heads->contains(kv_head);
}

/// Whether pre's rows can go into post's tensor; says why not.
bool fits(const TensorEntry& pre, const TensorEntry& post, std::vector<std::string>& problems) {
    const bool same_columns =
        std::ranges::equal(pre.shape.begin() + std::min<std::ptrdiff_t>(1, std::ssize(pre.shape)),
                           pre.shape.end(),
                           post.shape.begin() + std::min<std::ptrdiff_t>(1, std::ssize(post.shape)),
                           post.shape.end());
    if (!same_columns || pre.shape.size() != post.shape.size()) {
        problems.push_back(format("tensor {} has shape {} in pre and {} in post",
                                  in_quotes(post.name),
                                  anamnesis::to_string(pre.shape),
                                  anamnesis::to_string(post.shape)));
        return false;
    }
    if (pre.dtype != post.dtype && !(has_values(pre.dtype) && takes_values(post.dtype))) {
        problems.push_back(
            format("tensor {} is {} in pre and {} in post, which no rounding joins; "
                   "give a pre of post's type",
                   in_quotes(post.name),
                   anamnesis::to_string(pre.dtype),
                   anamnesis::to_string(post.dtype)));
        return false;
    }
    if (post.row_bytes() == 0 || pre.row_bytes() == 0) {
        problems.push_back(
            format("rows of tensor {} do not begin on whole bytes", in_quotes(post.name)));
        return false;
    }
    return true;
}

void select_attention(const RecognisedCheckpoint& pre,
                      const RecognisedCheckpoint& post,
                      const Selection& selection,
                      const Pairing& pairing,
                      std::vector<TensorChange>& changes,
                      std::vector<std::string>& problems) {
    for (const AttentionTensor& tensor : post.model.attention) {
        if (!takes_tensor(selection, tensor)) {
            continue;
        }
        const bool has_rows = std::ranges::any_of(tensor.blocks, [&](const auto& block) {
            return takes_block(selection, tensor, block, post.model.heads);
        });
        if (!has_rows) {
            continue;
        }
        const AttentionTensor* counterpart = pairing.find_pre_attention(tensor);
        if (counterpart == nullptr) {
            problems.push_back(
                format("tensor {} of post has no counterpart in pre", in_quotes(tensor.name)));
            continue;
        }
        TensorChange change;
        change.post = &post.checkpoint.at(tensor.name);
        change.pre = &pre.checkpoint.at(counterpart->name);
        change.layer = tensor.layer;
        if (!fits(*change.pre, *change.post, problems)) {
            continue;
        }
        std::set<std::string> parts;
        for (const PairedRows& pair : pair_rows(*counterpart, tensor, problems)) {
            if (takes_block(selection, tensor, pair.post, post.model.heads)) {
                append_rows(change.splices, pair.post.rows, pair.pre_row, pair.post.role);
                parts.emplace(tensor.group == AttentionGroup::norm ? "norms"
                                                                   : part_name(pair.post.role));
            }
        }
        change.part = parts.size() == 1 ? *parts.begin() : "qkv";
        if (!change.splices.empty()) {
            changes.push_back(std::move(change));
        }
    }
}

bool layer_is_reachable(const checkpoint::Model& model,
                        const Selection& selection,
                        TensorGroup group,
                        const std::optional<LayerIndex>& layer) {
    if (!layer) {
        return true;
    }
    if (selection.layers && !selection.layers->contains(layer->value)) {
        return false;
    }
    const bool belongs_to_attention =
        group == TensorGroup::o || group == TensorGroup::gate || group == TensorGroup::latent;
    if (!belongs_to_attention || layer->value >= model.layers.size()) {
        return true;
    }
    const auto& kinds = model.layers[layer->value].kinds;
    const bool is_sliding_only = std::ranges::find(kinds, LayerKind::sliding) != kinds.end() &&
                                 std::ranges::find(kinds, LayerKind::full) == kinds.end();
    return selection.has_sliding || !is_sliding_only;
}

/// A scale goes with the rows of its weight (select_scales).
bool follows_a_weight(const RecognisedCheckpoint& post, const TensorEntry& tensor) {
    const auto weight = checkpoint::find_scaled_weight(tensor.name);
    const TensorEntry* scaled = weight ? post.checkpoint.find(*weight) : nullptr;
    return scaled != nullptr && checkpoint::is_scaled(scaled->dtype) &&
           tensor.name.starts_with(*weight);
}

void select_whole_tensors(const RecognisedCheckpoint& post,
                          const Selection& selection,
                          const Pairing& pairing,
                          std::vector<TensorChange>& changes,
                          std::vector<std::string>& problems) {
    for (const TensorEntry& tensor : post.checkpoint.tensors()) {
        if (post.model.find_attention(tensor.name) != nullptr) {
            continue;
        }
        const auto group = checkpoint::classify_tensor(post.model, tensor.name);
        if (!group || !selection.groups.contains(*group) || follows_a_weight(post, tensor)) {
            continue;
        }
        const auto layer = checkpoint::find_layer(tensor.name);
        const bool is_draft_head =
            checkpoint::canonical_name(tensor.name).starts_with("mtp.") ||
            (post.checkpoint.gguf() && layer && layer->value >= post.model.layers.size());
        // What lies in no layer is in none of those that are chosen.
        const bool is_left_out =
            is_draft_head ? !selection.has_draft_heads : !layer && selection.layers;
        if (is_left_out || !layer_is_reachable(post.model, selection, *group, layer)) {
            continue;
        }
        if (selection.kv_heads) {
            throw Error(ErrorKind::usage,
                        format("--heads chooses rows of heads, and tensor {} of the group {} has "
                               "none: it would be taken whole; leave that group out, or --heads",
                               in_quotes(tensor.name),
                               checkpoint::to_string(*group)));
        }
        const TensorEntry* counterpart = pairing.find_pre(tensor.name);
        if (counterpart == nullptr) {
            problems.push_back(
                format("tensor {} of post has no counterpart in pre", in_quotes(tensor.name)));
            continue;
        }
        if (counterpart->shape != tensor.shape) {
            problems.push_back(format("tensor {} has shape {} in pre and {} in post",
                                      in_quotes(tensor.name),
                                      anamnesis::to_string(counterpart->shape),
                                      anamnesis::to_string(tensor.shape)));
            continue;
        }
        if (!fits(*counterpart, tensor, problems)) {
            continue;
        }
        TensorChange change;
        change.post = &tensor;
        change.pre = counterpart;
        change.layer = layer;
        change.part = checkpoint::to_string(*group);
        change.splices.push_back({.rows = {0, tensor.rows()}, .pre_row = 0});
        changes.push_back(std::move(change));
    }
}

}  // namespace

std::vector<TensorChange> select_rows(const RecognisedCheckpoint& pre,
                                      const RecognisedCheckpoint& post,
                                      const Selection& selection,
                                      std::vector<std::string>& problems,
                                      std::vector<checkpoint::Finding>& findings) {
    const Pairing pairing(pre, post);
    std::vector<TensorChange> changes;
    select_attention(pre, post, selection, pairing, changes, problems);
    if (selection.is_by_group()) {
        select_whole_tensors(post, selection, pairing, changes, problems);
        if (selection.groups.contains(TensorGroup::head) && post.model.is_head_tied) {
            findings.push_back(
                {.code = "tied_head",
                 .sentence = "the head is tied to the embedding: group 'embedding' restores both"});
        }
    }
    for (const AttentionTensor& tensor : post.model.attention) {
        if (selection.layers && takes_tensor(selection, tensor) && tensor.shared_by.size() > 1 &&
            tensor.group == AttentionGroup::weight) {
            std::vector<std::uint32_t> users;
            for (const LayerIndex layer : tensor.shared_by) {
                users.push_back(layer.value);
            }
            if (!std::ranges::all_of(
                    users, [&](auto layer) { return selection.layers->contains(layer); })) {
                findings.push_back(
                    {.code = "shared_block",
                     .sentence = format("tensor {} is shared by layers {}: all of them change",
                                        in_quotes(tensor.name),
                                        compact_list(users))});
            }
        }
    }
    return changes;
}

std::string switch_that_helps(const RecognisedCheckpoint& post, const Selection& selection) {
    const auto gives_rows = [&](const Selection& wider) {
        return std::ranges::any_of(post.model.attention, [&](const AttentionTensor& tensor) {
            return takes_tensor(wider, tensor) &&
                   std::ranges::any_of(tensor.blocks, [&](const auto& block) {
                       return takes_block(wider, tensor, block, post.model.heads);
                   });
        });
    };
    const std::pair<bool Selection::*, std::string_view> switches[] = {
        {&Selection::has_sliding, "--include-sliding"},
        {&Selection::has_draft_heads, "--include-mtp"},
        {&Selection::has_norms, "--include-norms"},
        {&Selection::has_adapters, "--include-adapters"},
    };
    for (const auto& [member, name] : switches) {
        Selection wider = selection;
        wider.*member = true;
        if (gives_rows(wider)) {
            return std::string(name);
        }
    }
    return {};
}

}  // namespace anamnesis::restore
