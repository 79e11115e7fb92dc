// SPDX-License-Identifier: Apache-2.0
#include "layer_plan.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

/// `names` are whole.
PlannedTensor make_gain(const Blueprint& blueprint,
                        std::string_view role,
                        std::vector<std::string> names) {
    PlannedTensor tensor{
        .name = std::move(names.front()),
        .shape = {blueprint.hidden_size},
        .role = std::string(role),
        .group = TensorGroup::norms,
        .precision = Precision::vector,
        .initial = blueprint.gain == Gain::offset ? Initial::zeros : Initial::ones};
    tensor.other_names.assign(std::make_move_iterator(names.begin() + 1),
                              std::make_move_iterator(names.end()));
    return tensor;
}

void add_norm(Blueprint& blueprint,
              std::string_view role,
              LayerIndex layer,
              const std::vector<std::string_view>& names) {
    std::vector<std::string> whole;
    whole.reserve(names.size());
    for (const std::string_view name : names) {
        whole.push_back(format("layers.{}.{}.weight", layer.value, name));
    }
    PlannedTensor tensor = make_gain(blueprint, role, std::move(whole));
    tensor.layer = layer;
    blueprint.tensors.push_back(std::move(tensor));
}

template <class Spec>
void list_any(const Spec& spec, LayerTensors& tensors) {
    std::visit(
        [&](const auto& one) {
            using One = std::decay_t<decltype(one)>;
            if constexpr (!std::is_same_v<One, UnknownMixer> &&
                          !std::is_same_v<One, UnknownFeedForward>) {
                list_tensors(one, tensors);
            }
        },
        spec);
}

void refuse_wrong_mixer(const Blueprint& blueprint, const Layer& layer, const MixerSpec& mixer) {
    if (layer.is_softmax() != std::holds_alternative<AttentionSpec>(mixer)) {
        throw Error(ErrorKind::unsupported,
                    format("layer {} is {}, which models of family {} do not run here",
                           layer.index.value,
                           layer.kinds.empty() ? "of no kind" : to_string(layer.kinds.front()),
                           in_quotes(blueprint.family)));
    }
}

void add_layer(Blueprint& blueprint, const Layer& layer, const LayerPlan& plan) {
    refuse_wrong_mixer(blueprint, layer, plan.spec.mixer);
    add_norm(blueprint, role::mixer_norm, layer.index, plan.mixer_norm);
    LayerTensors mixer(blueprint, layer.index, plan.mixer, TensorGroup::mixer);
    list_any(plan.spec.mixer, mixer);
    add_norm(blueprint, role::feed_forward_norm, layer.index, plan.feed_forward_norm);
    LayerTensors feed_forward(blueprint, layer.index, plan.feed_forward, TensorGroup::mlp);
    list_any(plan.spec.feed_forward, feed_forward);
}

PlannedTensor make_head(const Blueprint& blueprint, std::string_view name) {
    return {.name = format("{}.weight", name),
            .shape = {blueprint.vocabulary_size, blueprint.hidden_size},
            .role = std::string(role::head),
            .group = TensorGroup::head,
            .presence = !blueprint.is_head_tied   ? Presence::optional
                        : *blueprint.is_head_tied ? Presence::absent
                                                  : Presence::required,
            .is_in_body = false};
}

}  // namespace

void plan_body(Blueprint& blueprint,
               const std::function<LayerPlan(const Layer&)>& plan_layer,
               const BodyNames& names) {
    if (blueprint.hidden_size == 0) {
        throw Error(ErrorKind::malformed, "config.json has no key 'hidden_size'");
    }
    blueprint.tensors.push_back({.name = format("{}.weight", names.embedding),
                                 .shape = {blueprint.vocabulary_size, blueprint.hidden_size},
                                 .role = std::string(role::embedding),
                                 .group = TensorGroup::embedding,
                                 .initial = Initial::embedding});
    for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
        const LayerPlan plan = plan_layer(blueprint.layers[i]);
        add_layer(blueprint, blueprint.layers[i], plan);
        blueprint.specs[i] = plan.spec;
    }
    blueprint.tensors.push_back(
        make_gain(blueprint, role::final_norm, {format("{}.weight", names.final_norm)}));
    blueprint.tensors.push_back(make_head(blueprint, names.head));
}

bool is_only(const Layer& layer, LayerKind kind) {
    return layer.kinds.size() == 1 && layer.kinds.front() == kind;
}

}  // namespace anamnesis::checkpoint
