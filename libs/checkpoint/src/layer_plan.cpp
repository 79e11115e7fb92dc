// SPDX-License-Identifier: Apache-2.0
#include "layer_plan.hpp"

#include <algorithm>
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

/// The gain, and of norms that have one the bias.
void add_with_bias(Blueprint& blueprint, PlannedTensor gain) {
    PlannedTensor bias = gain;
    blueprint.tensors.push_back(std::move(gain));
    if (blueprint.norm_kind == NormKind::rms) {
        return;
    }
    const auto rename = [](std::string& name) {
        name.replace(name.rfind("weight"), std::string_view("weight").size(), "bias");
    };
    rename(bias.name);
    std::ranges::for_each(bias.other_names, rename);
    bias.role = role::to_bias_role(bias.role);
    bias.initial = Initial::zeros;
    blueprint.tensors.push_back(std::move(bias));
}

void add_norm(Blueprint& blueprint,
              std::string_view role,
              LayerIndex layer,
              const std::vector<std::string_view>& names) {
    std::vector<std::string> whole;
    whole.reserve(names.size());
    for (const std::string_view name : names) {
        whole.push_back(format("{}.{}.{}.weight", blueprint.layer_list, layer.value, name));
    }
    PlannedTensor tensor = make_gain(blueprint, role, std::move(whole));
    tensor.layer = layer;
    add_with_bias(blueprint, std::move(tensor));
}

template <class Spec>
void list_any(const Spec& spec, LayerTensors& tensors) {
    std::visit(
        [&](const auto& one) {
            using One = std::decay_t<decltype(one)>;
            if constexpr (!std::is_same_v<One, UnknownMixer> && !std::is_same_v<One, NoMixer> &&
                          !std::is_same_v<One, UnknownFeedForward> &&
                          !std::is_same_v<One, NoFeedForward>) {
                list_tensors(one, tensors);
            }
        },
        spec);
}

void refuse_wrong_mixer(const Blueprint& blueprint, const Layer& layer, const MixerSpec& mixer) {
    if (layer.is_softmax() != is_softmax(mixer)) {
        refuse_layer(blueprint, layer);
    }
}

void add_layer(Blueprint& blueprint, const Layer& layer, const LayerPlan& plan) {
    refuse_wrong_mixer(blueprint, layer, plan.spec.mixer);
    const auto add_norms = [&](const ResidualSpec& residual,
                               std::pair<std::string_view, std::string_view> roles,
                               const std::vector<std::string_view>& names,
                               const std::vector<std::string_view>& post_names) {
        if (residual.norms != NormPlacement::inside && !names.empty()) {
            add_norm(blueprint, roles.first, layer.index, names);
        }
        if (residual.norms == NormPlacement::both) {
            add_norm(blueprint, roles.second, layer.index, post_names);
        }
    };
    if (!std::holds_alternative<NoMixer>(plan.spec.mixer)) {
        add_norms(plan.spec.mixer_residual,
                  {role::mixer_norm, role::mixer_post_norm},
                  plan.mixer_norm,
                  plan.mixer_post_norm);
        LayerTensors mixer(blueprint, layer.index, plan.mixer, TensorGroup::mixer);
        list_any(plan.spec.mixer, mixer);
    }
    if (!std::holds_alternative<NoFeedForward>(plan.spec.feed_forward)) {
        add_norms(plan.spec.feed_forward_residual,
                  {role::feed_forward_norm, role::feed_forward_post_norm},
                  plan.feed_forward_norm,
                  plan.feed_forward_post_norm);
        LayerTensors feed_forward(blueprint, layer.index, plan.feed_forward, TensorGroup::mlp);
        list_any(plan.spec.feed_forward, feed_forward);
    }
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

void add_positions(Blueprint& blueprint, const BodyNames& names) {
    if (names.positions.empty()) {
        return;
    }
    blueprint.tensors.push_back({.name = format("{}.weight", names.positions),
                                 .shape = {names.position_count, blueprint.hidden_size},
                                 .role = std::string(role::positions),
                                 .group = TensorGroup::embedding,
                                 .initial = Initial::embedding});
}

void add_head(Blueprint& blueprint, const BodyNames& names) {
    blueprint.tensors.push_back(make_head(blueprint, names.head));
    if (names.has_head_bias) {
        blueprint.tensors.push_back({.name = format("{}.bias", names.head),
                                     .shape = {blueprint.vocabulary_size},
                                     .role = role::to_bias_role(role::head),
                                     .group = TensorGroup::head,
                                     .precision = Precision::vector,
                                     .initial = Initial::zeros,
                                     .is_in_body = false});
    }
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
    add_positions(blueprint, names);
    if (!names.embedding_norm.empty()) {
        add_with_bias(
            blueprint,
            make_gain(
                blueprint, role::embedding_norm, {format("{}.weight", names.embedding_norm)}));
    }
    for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
        const LayerPlan plan = plan_layer(blueprint.layers[i]);
        add_layer(blueprint, blueprint.layers[i], plan);
        blueprint.specs[i] = plan.spec;
    }
    add_with_bias(blueprint,
                  make_gain(blueprint, role::final_norm, {format("{}.weight", names.final_norm)}));
    add_head(blueprint, names);
}

void refuse_layer(const Blueprint& blueprint, const Layer& layer) {
    throw Error(ErrorKind::unsupported,
                format("layer {} is {}, which models of family {} do not run here",
                       layer.index.value,
                       layer.kinds.empty() ? "of no kind" : to_string(layer.kinds.front()),
                       in_quotes(blueprint.family)));
}

bool is_only(const Layer& layer, LayerKind kind) {
    return layer.kinds.size() == 1 && layer.kinds.front() == kind;
}

}  // namespace anamnesis::checkpoint
