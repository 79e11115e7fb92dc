// SPDX-License-Identifier: Apache-2.0
#include "softmax_tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "tensor_groups.hpp"

namespace anamnesis::checkpoint {
namespace {

LayerIndex find_home(const Blueprint& blueprint, std::size_t layer) {
    const auto& homes = blueprint.softmax.stored_in;
    return homes.empty() ? blueprint.layers[layer].index : homes[layer];
}

std::vector<LayerIndex> find_users(const Blueprint& blueprint, LayerIndex home) {
    std::vector<LayerIndex> users;
    for (std::size_t i = 0; i < blueprint.softmax.stored_in.size(); ++i) {
        if (blueprint.softmax.stored_in[i] == home && blueprint.layers[i].is_softmax()) {
            users.push_back(blueprint.layers[i].index);
        }
    }
    return users;
}

Shape make_shape(const TensorRule& rule) {
    if (!rule.shape.empty()) {
        return rule.shape;
    }
    const std::uint64_t rows = count_rows(rule.layout);
    const bool is_matrix =
        rule.group == AttentionGroup::weight || rule.group == AttentionGroup::adapter;
    return is_matrix ? Shape{rows, rule.columns.value_or(0)} : Shape{rows};
}

}  // namespace

std::string fill_slot(std::string name, std::string_view slot, std::uint32_t number) {
    const std::size_t at = name.find(slot);
    return at == std::string::npos ? name : name.replace(at, slot.size(), format("{}", number));
}

PlannedTensor plan_anywhere(const TensorRule& rule) {
    PlannedTensor tensor{.name = rule.name,
                         .shape = make_shape(rule),
                         .role = rule.role,
                         .group = find_group_of_rows(rule.group, rule.layout.segments),
                         .presence = rule.presence,
                         .attention = AttentionRows{.group = rule.group, .layout = rule.layout}};
    tensor.precision = tensor.shape.size() == 2 ? Precision::matrix : Precision::vector;
    return tensor;
}

PlannedTensor plan_softmax_tensor(const Blueprint& blueprint,
                                  const TensorRule& rule,
                                  std::size_t layer,
                                  std::uint32_t user) {
    const LayerIndex index = blueprint.layers[layer].index;
    const LayerIndex home = find_home(blueprint, layer);
    PlannedTensor tensor = plan_anywhere(rule);
    tensor.layer = index;
    tensor.initial = rule.group == AttentionGroup::bias            ? Initial::zeros
                     : rule.group != AttentionGroup::norm          ? Initial::matrix
                     : blueprint.qk_norm == QkNorm::per_head_plus1 ? Initial::zeros
                                                                   : Initial::ones;
    if (rule.name.find(block_slot) != std::string::npos) {
        tensor.name = fill_slot(fill_slot(rule.name, layer_slot, home.value), block_slot, user);
        return tensor;
    }
    tensor.name = fill_slot(rule.name, layer_slot, index.value);
    tensor.attention->shared_by = find_users(blueprint, index);
    // A later user of a shared block stores nothing; a copy of its own would be used.
    if (home != index && tensor.presence == Presence::required) {
        tensor.presence = Presence::optional;
    }
    return tensor;
}

void plan_softmax_tensors(Blueprint& blueprint) {
    std::uint32_t user = 0;
    for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
        if (!blueprint.layers[i].is_softmax()) {
            continue;
        }
        for (const TensorRule& rule : blueprint.softmax.tensors) {
            blueprint.tensors.push_back(plan_softmax_tensor(blueprint, rule, i, user));
        }
        ++user;
    }
}

}  // namespace anamnesis::checkpoint
