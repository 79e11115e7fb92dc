// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/row_rules.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {
namespace {

using checkpoint::RowRange;
using checkpoint::RowRole;
using checkpoint::TensorGroup;
using Selected = std::map<std::string, std::vector<RowRange>>;

struct Selection {
    std::vector<TensorGroup> groups;
    std::optional<std::vector<std::uint32_t>> layers{};

    bool has(TensorGroup group) const { return std::ranges::count(groups, group) > 0; }
    bool has_layer(const std::optional<LayerIndex>& layer) const {
        return !layers || (layer && std::ranges::count(*layers, layer->value) > 0);
    }
};

std::vector<TensorGroup> groups_of(std::string_view words, std::string_view whole) {
    std::vector<TensorGroup> groups;
    for (const std::string& word : split(words, '+')) {
        if (word == "qk") {
            groups.insert(groups.end(), {TensorGroup::q, TensorGroup::k});
            continue;
        }
        const auto group = checkpoint::find_tensor_group(word);
        if (!group) {
            throw Error(ErrorKind::usage,
                        format("{} in {} is no group of tensors; expected q, k, qk, v, o, gate, "
                               "latent, mlp, mixer, norms, embedding, head or other",
                               in_quotes(word),
                               in_quotes(whole)));
        }
        groups.push_back(*group);
    }
    return groups;
}

Selection parse(std::string_view words, const checkpoint::Model& model) {
    const std::size_t at = words.find('@');
    Selection selection{.groups = groups_of(words.substr(0, at), words)};
    if (at != std::string_view::npos) {
        selection.layers = parse_number_list(words.substr(at + 1), "the layers of a group");
        for (const std::uint32_t layer : *selection.layers) {
            if (layer >= model.layers.size()) {
                throw Error(ErrorKind::usage,
                            format("layer {} in {} is not there: the model has {}",
                                   layer,
                                   in_quotes(words),
                                   model.layers.size()));
            }
        }
    }
    return selection;
}

TensorGroup group_of(RowRole role) {
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

/// Neighbours become one range.
void add(std::vector<RowRange>& ranges, const RowRange& next) {
    if (!ranges.empty() && ranges.back().end == next.begin) {
        ranges.back().end = next.end;
    } else {
        ranges.push_back(next);
    }
}

double number_of(std::string_view text, std::string_view whole) {
    double number = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number) ||
        number < 0.0) {
        throw Error(ErrorKind::usage,
                    format("{} ends in no number of at least 0; expected SELECTION=NUMBER",
                           in_quotes(whole)));
    }
    return number;
}

}  // namespace

Selected select_rows(const checkpoint::Checkpoint& checkpoint,
                     const checkpoint::Model& model,
                     std::string_view words) {
    const Selection selection = parse(words, model);
    Selected selected;
    for (const checkpoint::AttentionTensor& tensor : model.attention) {
        const bool has_roles = tensor.group == checkpoint::AttentionGroup::weight ||
                               tensor.group == checkpoint::AttentionGroup::bias;
        if (!has_roles || tensor.is_draft_head || !selection.has_layer(tensor.layer)) {
            continue;
        }
        for (const checkpoint::RowBlock& block : tensor.blocks) {
            if (selection.has(group_of(block.role))) {
                add(selected[tensor.name], block.rows);
            }
        }
    }
    for (const checkpoint::TensorEntry& tensor : checkpoint.tensors()) {
        const auto group = checkpoint::find_group_of(model, tensor.name);
        if (group && selection.has(*group) && !selected.contains(tensor.name) &&
            selection.has_layer(checkpoint::find_layer_of(tensor.name))) {
            selected[tensor.name] = {{.begin = 0, .end = tensor.rows()}};
        }
    }
    if (selected.empty()) {
        throw Error(ErrorKind::not_found, format("{} selects no tensor", in_quotes(words)));
    }
    return selected;
}

RowRules row_rules_of(const checkpoint::Checkpoint& checkpoint,
                      const checkpoint::Model& model,
                      const RuleWords& words) {
    RowRules rules;
    const auto add_rule = [&](std::string_view selection, const RowRule& rule, bool is_anchor) {
        for (const auto& [name, ranges] : select_rows(checkpoint, model, selection)) {
            for (const RowRange& range : ranges) {
                std::vector<RowRule>& of_tensor = rules[name];
                RowRule* same = nullptr;
                for (RowRule& other : of_tensor) {
                    if (other.rows == range) {
                        same = &other;
                    } else if (other.rows.begin < range.end && range.begin < other.rows.end) {
                        throw Error(
                            ErrorKind::usage,
                            format("rows of {} are selected twice, in part", in_quotes(name)));
                    }
                }
                if (same == nullptr) {
                    same = &of_tensor.emplace_back(RowRule{.rows = range});
                }
                double& value = is_anchor ? same->anchor : same->rate;
                if (value != (is_anchor ? 0.0 : 1.0)) {
                    throw Error(ErrorKind::usage, format("{} is selected twice", in_quotes(name)));
                }
                value = is_anchor ? rule.anchor : rule.rate;
            }
        }
    };
    const auto add_pairs = [&](const std::vector<std::string>& all, bool is_anchor) {
        for (const std::string& word : all) {
            const std::size_t equals = std::min(word.rfind('='), word.size());
            const double number =
                number_of(std::string_view(word).substr(std::min(equals + 1, word.size())), word);
            add_rule(std::string_view(word).substr(0, equals),
                     is_anchor ? RowRule{.anchor = number} : RowRule{.rate = number},
                     is_anchor);
        }
    };
    for (const std::string& selection : words.frozen) {
        add_rule(selection, {.rate = 0.0}, false);
    }
    add_pairs(words.rates, false);
    add_pairs(words.anchors, true);
    return rules;
}

}  // namespace anamnesis::train
