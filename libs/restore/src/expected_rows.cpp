// SPDX-License-Identifier: Apache-2.0
#include "expected_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
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
    ExpectedRows expected;
    if (const AttentionTensor* attention = post_.model.find_attention(tensor.name)) {
        expected = find_attention(tensor, *attention);
    } else if (auto whole = find_scale_of_all(tensor)) {
        return std::move(*whole);
    } else if (auto scale = find_scale(tensor)) {
        return std::move(*scale);
    } else {
        expected = find_whole(tensor);
    }
    set_storage(tensor, expected);
    return expected;
}

bool Expectations::is_stored_alike(const TensorEntry& post, const TensorEntry& pre) const {
    const auto of_post = checkpoint::find_scale(post_.checkpoint, post.name);
    const auto of_pre = checkpoint::find_scale(pre_.checkpoint, pre.name);
    if (post.dtype != pre.dtype || of_post.has_value() != of_pre.has_value()) {
        return false;
    }
    return !of_post || (of_post->tensor->shape == of_pre->tensor->shape &&
                        of_post->tensor->dtype == of_pre->tensor->dtype &&
                        of_post->rows_per_block == of_pre->rows_per_block &&
                        of_post->columns_per_block == of_pre->columns_per_block);
}

void Expectations::set_storage(const TensorEntry& entry, ExpectedRows& expected) const {
    if (expected.pre == nullptr) {
        return;
    }
    const bool has_scales = checkpoint::is_scaled(entry.dtype);
    if (!has_scales && !checkpoint::is_scaled(expected.pre->dtype)) {
        return;
    }
    if (!is_stored_alike(entry, *expected.pre)) {
        expected.is_requantised =
            has_scales && checkpoint::find_scale(post_.checkpoint, entry.name).has_value();
        expected.is_dequantised = !expected.is_requantised;
    }
}

/// A block that layers share may be stored under another of its users.
const AttentionTensor* Expectations::find_source(const AttentionTensor& tensor) const {
    const auto found = pre_attention_.find(tensor.canonical_name);
    if (found != pre_attention_.end()) {
        return found->second;
    }
    const auto& homes = post_.model.blueprint->softmax.stored_in;
    const auto layer = checkpoint::find_layer(tensor.canonical_name);
    if (!layer || layer->value >= homes.size()) {
        return nullptr;
    }
    const auto name_within_layer = [](const std::string& name) {
        return name.substr(name.find('.', name.find('.') + 1));
    };
    for (const auto& [name, candidate] : pre_attention_) {
        const auto other = checkpoint::find_layer(name);
        if (other && other->value < homes.size() && homes[other->value] == homes[layer->value] &&
            name_within_layer(name) == name_within_layer(tensor.canonical_name)) {
            return candidate;
        }
    }
    return nullptr;
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
    const AttentionTensor* found =
        wants(tensor) && !is_left_by_fit(entry) ? find_source(tensor) : nullptr;
    if (found == nullptr) {
        return {};
    }
    const AttentionTensor& source = *found;
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

/// The one scale of an NVFP4 tensor is pre's where every row of the weight is.
std::optional<ExpectedRows> Expectations::find_scale_of_all(const TensorEntry& entry) const {
    constexpr std::string_view end = ".scale";
    if (!entry.name.ends_with(end)) {
        return std::nullopt;
    }
    const std::string module = entry.name.substr(0, entry.name.size() - end.size());
    const TensorEntry* weight = post_.checkpoint.find(module + ".weight");
    const TensorEntry* source = pre_.checkpoint.find(entry.name);
    if (weight == nullptr || weight->dtype != DType::nvfp4 || source == nullptr) {
        return std::nullopt;
    }
    const ExpectedRows of_weight = find(*weight);
    const bool is_whole =
        of_weight.pre != nullptr && std::ranges::all_of(of_weight.rows, [](const auto& row) {
            return row.kind == RowOrigin::Kind::pre;
        });
    if (!is_whole) {
        return ExpectedRows{};
    }
    ExpectedRows expected{.pre = source, .rows = std::vector<RowOrigin>(entry.rows())};
    for (std::uint64_t row = 0; row < entry.rows(); ++row) {
        expected.rows[row] = {RowOrigin::Kind::pre, row};
    }
    return expected;
}

std::optional<ExpectedRows> Expectations::find_scale(const TensorEntry& entry) const {
    const auto name = checkpoint::find_scaled_weight(entry.name);
    const TensorEntry* weight = name ? post_.checkpoint.find(*name) : nullptr;
    // A scale of activations is a tensor of its own.
    if (weight == nullptr || !checkpoint::is_scaled(weight->dtype) ||
        !entry.name.starts_with(*name)) {
        return std::nullopt;
    }
    const bool is_named_so =
        entry.name == weight->name + "_scale_inv" || entry.name == weight->name + "_scale";
    if (!is_named_so) {
        return std::nullopt;
    }
    const ExpectedRows of_weight = find(*weight);
    // The scale of an untouched weight is post's own bytes, whatever its shape means.
    if (of_weight.pre == nullptr) {
        return ExpectedRows{};
    }
    const auto scale = checkpoint::find_scale(post_.checkpoint, weight->name);
    if (!scale || scale->tensor->name != entry.name) {
        return std::nullopt;
    }
    const auto pre_scale = checkpoint::find_scale(pre_.checkpoint, of_weight.pre->name);
    const bool is_copied = pre_scale && is_stored_alike(*weight, *of_weight.pre);
    ExpectedRows expected{.pre = is_copied ? pre_scale->tensor : &entry,
                          .rows = std::vector<RowOrigin>(entry.rows()),
                          .has_new_scales = !is_copied};
    for (std::uint64_t row = 0; row < entry.rows(); ++row) {
        const RowOrigin& origin = of_weight.rows.at(row * scale->rows_per_block);
        const bool is_new = !is_copied && origin.kind == RowOrigin::Kind::pre;
        expected.rows[row] = {is_new ? RowOrigin::Kind::computed : origin.kind,
                              origin.pre_row / scale->rows_per_block};
    }
    return expected;
}

/// What is no product of inputs with a matrix, and what makes latents.
bool Expectations::is_left_by_fit(const TensorEntry& entry) const {
    if (request_.selection.method != Method::fit || post_.model.blueprint == nullptr) {
        return false;
    }
    namespace role = checkpoint::role;
    static const std::set<std::string, std::less<>> left{std::string(role::router_correction),
                                                         std::string(role::query_input),
                                                         std::string(role::query_input_norm),
                                                         std::string(role::latent_norm),
                                                         role::to_bias_role(role::query_input),
                                                         std::string(role::latent),
                                                         role::to_bias_role(role::latent)};
    const auto* planned = post_.model.blueprint->find_named(checkpoint::canonical_name(entry.name));
    return planned != nullptr && left.contains(planned->role);
}

ExpectedRows Expectations::find_whole(const TensorEntry& entry) const {
    const Selection& wish = request_.selection;
    const auto group = checkpoint::classify_tensor(post_.model, entry.name);
    const auto found = pre_tensors_.find(checkpoint::canonical_name(entry.name));
    if (!group || !wish.groups.contains(*group) || found == pre_tensors_.end()) {
        return {};
    }
    const auto layer = checkpoint::find_layer(entry.name);
    if (layer && wish.layers && !wish.layers->contains(layer->value)) {
        return {};
    }
    if (is_left_by_fit(entry)) {
        return {};
    }
    const bool is_after_layers =
        post_.checkpoint.gguf() && layer && layer->value >= post_.model.layers.size();
    const bool is_of_draft_head =
        checkpoint::canonical_name(entry.name).starts_with("mtp.") || is_after_layers;
    const bool is_outside_layers = !layer && wish.layers.has_value();
    if (is_of_draft_head ? !wish.has_draft_heads : is_outside_layers) {
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
