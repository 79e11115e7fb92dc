// SPDX-License-Identifier: Apache-2.0
#include "layer_tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "softmax_tensors.hpp"

namespace anamnesis::checkpoint {

std::string_view LayerTensors::find_name(std::string_view role, std::string_view name) const {
    const auto renamed = std::ranges::find(module_.renamed, role, &Renamed::role);
    return renamed == module_.renamed.end() ? name : renamed->name;
}

Presence LayerTensors::find_presence(Presence presence) const {
    return is_optional_ && presence == Presence::required ? Presence::optional : presence;
}

namespace {

/// Seven times those of the largest models there are; a config can ask for any number of experts.
constexpr std::size_t most_tensors = std::size_t{1} << 19U;

}  // namespace

PlannedTensor LayerTensors::make(std::string_view role,
                                 const std::string& name,
                                 const Shape& shape) const {
    if (blueprint_.tensors.size() >= most_tensors) {
        throw Error(ErrorKind::malformed,
                    format("config.json describes more than {} tensors", most_tensors));
    }
    const auto in_module = [&](std::string_view module) {
        return format("{}.{}.{}{}{}",
                      blueprint_.layer_list,
                      home_.value,
                      module,
                      module.empty() ? "" : ".",
                      name);
    };
    PlannedTensor tensor{.name = in_module(module_.name),
                         .shape = shape,
                         .role = format("{}{}", role_prefix_, role),
                         .layer = layer_,
                         .group = group_};
    for (const std::string_view other : module_.other_names) {
        tensor.other_names.push_back(in_module(other));
    }
    return tensor;
}

void LayerTensors::add(const Matrix& matrix) {
    const std::string name(find_name(matrix.role, matrix.name));
    PlannedTensor weight = make(matrix.role, name + ".weight", {matrix.outputs, matrix.inputs});
    const Presence weight_presence = find_presence(matrix.presence);
    weight.presence = weight_presence;
    weight.initial = matrix.initial;
    weight.storage = matrix.storage;
    blueprint_.tensors.push_back(std::move(weight));
    if (matrix.bias == Presence::absent) {
        return;
    }
    PlannedTensor bias = make(role::to_bias_role(matrix.role), name + ".bias", {matrix.outputs});
    bias.presence = weight_presence == Presence::required ? matrix.bias : Presence::optional;
    bias.precision = Precision::vector;
    bias.initial = matrix.initial_bias;
    blueprint_.tensors.push_back(std::move(bias));
}

void LayerTensors::add(const Vector& vector) {
    PlannedTensor tensor =
        make(vector.role, std::string(find_name(vector.role, vector.name)), vector.shape);
    tensor.other_shapes = vector.other_shapes;
    tensor.presence = find_presence(vector.presence);
    tensor.precision = Precision::vector;
    tensor.initial = vector.initial;
    blueprint_.tensors.push_back(std::move(tensor));
}

void LayerTensors::add(const Stack& stack) {
    PlannedTensor tensor =
        make(stack.role, std::string(find_name(stack.role, stack.name)), stack.shape);
    tensor.initial = stack.initial;
    tensor.storage = stack.storage;
    blueprint_.tensors.push_back(std::move(tensor));
}

void LayerTensors::add_softmax_rules(bool (*wants)(AttentionGroup)) {
    const auto before = std::span(blueprint_.layers).first(layer_.value);
    const auto user = static_cast<std::uint32_t>(std::ranges::count_if(before, &Layer::is_softmax));
    for (const TensorRule& rule : blueprint_.softmax.tensors) {
        if (wants(rule.group)) {
            blueprint_.tensors.push_back(plan_softmax_tensor(blueprint_, rule, layer_.value, user));
        }
    }
}

void LayerTensors::add_softmax_projections() {
    add_softmax_rules([](AttentionGroup group) { return group != AttentionGroup::norm; });
}

void LayerTensors::add_softmax_norms() {
    add_softmax_rules([](AttentionGroup group) { return group == AttentionGroup::norm; });
}

}  // namespace anamnesis::checkpoint
