// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/row_selection.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

TensorGroup find_group(RowRole role) {
    switch (role) {
        case RowRole::query:
            return TensorGroup::q;
        case RowRole::key:
            return TensorGroup::k;
        case RowRole::value:
            return TensorGroup::v;
        case RowRole::gate:
            return TensorGroup::gate;
        case RowRole::latent:
            break;
    }
    return TensorGroup::latent;
}

std::set<std::uint32_t> parse_numbers(std::string_view text, std::string_view what) {
    const std::vector<std::uint32_t> list = parse_number_list(text, what);
    return {list.begin(), list.end()};
}

/// Neighbours become one range.
void add(std::vector<RowRange>& ranges, const RowRange& next) {
    if (!ranges.empty() && ranges.back().end == next.begin) {
        ranges.back().end = next.end;
    } else {
        ranges.push_back(next);
    }
}

bool takes_layer(const RowSelection& selection, const std::optional<LayerIndex>& layer) {
    return !selection.layers || (layer && selection.layers->contains(layer->value));
}

bool takes_head(const RowSelection& selection, const Model& model, const RowBlock& block) {
    if (!selection.kv_heads) {
        return true;
    }
    if (!block.head || !model.heads) {
        return false;
    }
    const bool is_of_query_head = block.role == RowRole::query || block.role == RowRole::gate;
    const std::uint32_t share =
        is_of_query_head ? model.heads->query_heads / model.heads->kv_heads : 1;
    return selection.kv_heads->contains(*block.head / share);
}

void check_numbers(const std::optional<std::set<std::uint32_t>>& numbers,
                   std::string_view what,
                   std::uint64_t count,
                   std::string_view words) {
    if (numbers && !numbers->empty() && *numbers->rbegin() >= count) {
        throw Error(ErrorKind::usage,
                    format("{} {} in {} does not exist: the model has {}",
                           what,
                           *numbers->rbegin(),
                           in_quotes(words),
                           count));
    }
}

}  // namespace

std::set<TensorGroup> parse_tensor_groups(std::string_view words, std::string_view option) {
    std::string list(words);
    std::ranges::replace(list, '+', ',');
    std::set<TensorGroup> groups;
    for (const std::string& word : split(list, ',')) {
        if (word == "qk") {
            groups.insert({TensorGroup::q, TensorGroup::k});
            continue;
        }
        if (word == "all" && list != word) {
            throw Error(ErrorKind::usage,
                        format("{}: 'all' stands for every group: give it alone", option));
        }
        const auto group = find_tensor_group(word);
        if (!group) {
            throw Error(ErrorKind::usage,
                        format("{}: {} is not a tensor group; there are q, k, qk, v, o, gate, "
                               "latent, mlp, mixer, norms, embedding, head, other",
                               option,
                               in_quotes(word)));
        }
        groups.insert(*group);
    }
    return groups;
}

RowSelection parse_row_selection(std::string_view words) {
    const std::size_t heads = std::min(words.find('#'), words.size());
    const std::size_t layers = std::min(words.substr(0, heads).find('@'), heads);
    RowSelection selection{.groups =
                               parse_tensor_groups(words.substr(0, layers), in_quotes(words))};
    if (layers < heads) {
        selection.layers =
            parse_numbers(words.substr(layers + 1, heads - layers - 1), "the layers of a group");
    }
    if (heads < words.size()) {
        selection.kv_heads = parse_numbers(words.substr(heads + 1), "the heads of a group");
    }
    return selection;
}

std::map<std::string, std::vector<RowRange>> select_rows(const Checkpoint& checkpoint,
                                                         const Model& model,
                                                         const RowSelection& selection,
                                                         std::string_view words) {
    check_numbers(selection.layers, "layer", model.layers.size(), words);
    check_numbers(selection.kv_heads, "head", model.heads ? model.heads->kv_heads : 0, words);
    std::map<std::string, std::vector<RowRange>> selected;
    for (const AttentionTensor& tensor : model.attention) {
        const bool has_roles =
            tensor.group == AttentionGroup::weight || tensor.group == AttentionGroup::bias;
        if (!has_roles || tensor.is_draft_head || !takes_layer(selection, tensor.layer)) {
            continue;
        }
        for (const RowBlock& block : tensor.blocks) {
            if (selection.groups.contains(find_group(block.role)) &&
                takes_head(selection, model, block)) {
                add(selected[tensor.name], block.rows);
            }
        }
    }
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        const auto group = classify_tensor(model, tensor.name);
        if (group && selection.groups.contains(*group) && !selected.contains(tensor.name) &&
            !selection.kv_heads && takes_layer(selection, find_layer(tensor.name))) {
            selected[tensor.name] = {{.begin = 0, .end = tensor.rows()}};
        }
    }
    if (selected.empty()) {
        throw Error(ErrorKind::not_found, format("{} selects no tensor", in_quotes(words)));
    }
    return selected;
}

}  // namespace anamnesis::checkpoint
