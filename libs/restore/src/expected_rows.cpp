// SPDX-License-Identifier: Apache-2.0
#include "expected_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::AttentionTensor;
using checkpoint::LayerKind;
using checkpoint::RowRole;
using checkpoint::TensorEntry;
using checkpoint::TensorGroup;

}  // namespace

Expectations::Expectations(const RecognisedCheckpoint& pre,
                           const RecognisedCheckpoint& post,
                           const Request& request)
    : pre_(pre), post_(post), request_(request) {
    for (const AttentionTensor& tensor : pre.model.attention) {
        pre_attention_[tensor.canonical_name] = &tensor;
    }
    for (const TensorEntry& tensor : pre.checkpoint.tensors()) {
        pre_tensors_[checkpoint::canonical_name(tensor.name)] = &tensor;
    }
}

ExpectedRows Expectations::find(const TensorEntry& tensor) const {
    if (const AttentionTensor* attention = post_.model.find_attention(tensor.name)) {
        return find_attention(tensor, *attention);
    }
    if (auto scale = find_scale(tensor)) {
        return std::move(*scale);
    }
    return find_whole(tensor);
}

bool Expectations::wants(const AttentionTensor& tensor) const {
    const Selection& wish = request_.selection;
    const bool norms_as_group = wish.groups.contains(TensorGroup::norms);
    const bool in_layers = [&] {
        if (!wish.layers) {
            return true;
        }
        std::set<std::uint32_t> users;
        if (tensor.layer) {
            users.insert(tensor.layer->value);
        }
        for (const LayerIndex layer : tensor.shared_by) {
            users.insert(layer.value);
        }
        return std::ranges::any_of(users, [&](auto user) { return wish.layers->contains(user); });
    }();
    return (tensor.group != AttentionGroup::bias || wish.has_biases) &&
           (tensor.group != AttentionGroup::norm || wish.has_norms || norms_as_group) &&
           (tensor.group != AttentionGroup::adapter || wish.has_adapters) &&
           (tensor.kind != LayerKind::sliding || wish.has_sliding) &&
           (tensor.is_draft_head ? wish.has_draft_heads : in_layers);
}

bool Expectations::wants(const AttentionTensor& tensor, const checkpoint::RowBlock& block) const {
    const Selection& wish = request_.selection;
    bool by_role = false;
    if (!wish.groups.empty()) {
        static const std::map<RowRole, TensorGroup> groups{{RowRole::query, TensorGroup::q},
                                                           {RowRole::key, TensorGroup::k},
                                                           {RowRole::value, TensorGroup::v},
                                                           {RowRole::gate, TensorGroup::gate},
                                                           {RowRole::latent, TensorGroup::latent}};
        by_role =
            wish.groups.contains(groups.at(block.role)) ||
            (tensor.group == AttentionGroup::norm && wish.groups.contains(TensorGroup::norms));
    } else {
        const bool is_query = block.role == RowRole::query;
        const bool is_key = block.role == RowRole::key;
        by_role = wish.method == Method::q   ? is_query
                  : wish.method == Method::k ? is_key
                  : wish.method == Method::v ? block.role == RowRole::value
                                             : is_query || is_key;
    }
    if (!by_role || !wish.kv_heads) {
        return by_role;
    }
    if (!block.head || !post_.model.heads) {
        return false;
    }
    const bool by_query_head = block.role == RowRole::query || block.role == RowRole::gate;
    const std::uint32_t share =
        by_query_head ? post_.model.heads->query_heads / post_.model.heads->kv_heads : 1;
    return wish.kv_heads->contains(*block.head / share);
}

RowOrigin::Kind Expectations::find_kind(const AttentionTensor& tensor, RowRole role) const {
    switch (request_.selection.method) {
        case Method::lerp:
            return RowOrigin::Kind::computed;
        case Method::align:
        case Method::fit:
            return tensor.group == AttentionGroup::norm ? RowOrigin::Kind::pre
                                                        : RowOrigin::Kind::computed;
        case Method::pro:
            return role == RowRole::query && tensor.group != AttentionGroup::norm
                       ? RowOrigin::Kind::computed
                       : RowOrigin::Kind::pre;
        default:
            return RowOrigin::Kind::pre;
    }
}

ExpectedRows Expectations::find_attention(const TensorEntry& entry,
                                          const AttentionTensor& tensor) const {
    const auto found = pre_attention_.find(tensor.canonical_name);
    if (!wants(tensor) || found == pre_attention_.end()) {
        return {};
    }
    const AttentionTensor& source = *found->second;
    ExpectedRows expected{.pre = &pre_.checkpoint.at(source.name),
                          .rows = std::vector<RowOrigin>(entry.rows())};
    bool has_any = false;
    // Counterparts are found row by row: the n-th row of a role and head in post is the n-th
    // row of that role and head in pre.
    std::map<std::pair<RowRole, std::optional<std::uint32_t>>, std::vector<std::uint64_t>> rows;
    for (const auto& block : source.blocks) {
        auto& list = rows[{block.role, block.head}];
        for (std::uint64_t row = block.rows.begin; row < block.rows.end; ++row) {
            list.push_back(row);
        }
    }
    std::map<std::pair<RowRole, std::optional<std::uint32_t>>, std::size_t> next;
    for (const auto& block : tensor.blocks) {
        const std::pair key{block.role, block.head};
        for (std::uint64_t row = block.rows.begin; row < block.rows.end; ++row) {
            const std::size_t position = next[key]++;
            if (wants(tensor, block) && position < rows[key].size()) {
                expected.rows[row] = {find_kind(tensor, block.role), rows[key][position]};
                has_any = true;
            }
        }
    }
    return has_any ? expected : ExpectedRows{};
}

std::optional<ExpectedRows> Expectations::find_scale(const TensorEntry& entry) const {
    for (const AttentionTensor& tensor : post_.model.attention) {
        const auto scale = checkpoint::find_scale(post_.checkpoint, tensor.name);
        if (!scale || scale->tensor->name != entry.name) {
            continue;
        }
        const TensorEntry& weight = post_.checkpoint.at(tensor.name);
        const ExpectedRows of_weight = find_attention(weight, tensor);
        if (of_weight.pre == nullptr) {
            return ExpectedRows{};
        }
        const auto pre_scale = checkpoint::find_scale(pre_.checkpoint, of_weight.pre->name);
        if (!pre_scale) {
            return ExpectedRows{};
        }
        ExpectedRows expected{.pre = pre_scale->tensor,
                              .rows = std::vector<RowOrigin>(entry.rows())};
        for (std::uint64_t row = 0; row < entry.rows(); ++row) {
            const RowOrigin& origin = of_weight.rows.at(row * scale->rows_per_block);
            expected.rows[row] = {origin.kind, origin.pre_row / scale->rows_per_block};
        }
        return expected;
    }
    return std::nullopt;
}

ExpectedRows Expectations::find_whole(const TensorEntry& entry) const {
    const Selection& wish = request_.selection;
    const auto group = checkpoint::find_group_of(post_.model, entry.name);
    const auto found = pre_tensors_.find(checkpoint::canonical_name(entry.name));
    if (!group || !wish.groups.contains(*group) || found == pre_tensors_.end()) {
        return {};
    }
    const auto layer = checkpoint::find_layer_of(entry.name);
    if (layer && wish.layers && !wish.layers->contains(layer->value)) {
        return {};
    }
    if (checkpoint::canonical_name(entry.name).starts_with("mtp.") && !wish.has_draft_heads) {
        return {};
    }
    const bool of_attention_layer =
        *group == TensorGroup::o || *group == TensorGroup::gate || *group == TensorGroup::latent;
    if (of_attention_layer && layer && layer->value < post_.model.layers.size()) {
        const auto& kinds = post_.model.layers[layer->value].kinds;
        const auto has = [&](LayerKind kind) { return std::ranges::count(kinds, kind) > 0; };
        if (has(LayerKind::sliding) && !has(LayerKind::full) && !wish.has_sliding) {
            return {};
        }
    }
    ExpectedRows expected{.pre = found->second, .rows = std::vector<RowOrigin>(entry.rows())};
    for (std::uint64_t row = 0; row < entry.rows(); ++row) {
        expected.rows[row] = {
            wish.method == Method::groups ? RowOrigin::Kind::pre : RowOrigin::Kind::computed, row};
    }
    return expected;
}

}  // namespace anamnesis::restore
