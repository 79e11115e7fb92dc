// SPDX-License-Identifier: Apache-2.0
#include "layer_weights.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::runtime {
namespace {

/// The planned shape that the stored tensor has, or the first.
std::vector<std::int64_t> choose_shape(const checkpoint::PlannedTensor& planned,
                                       const Shape& stored) {
    const bool is_other =
        std::ranges::find(planned.other_shapes, stored) != planned.other_shapes.end();
    Shape shape = is_other ? stored : planned.shape;
    for (std::size_t i = 0; i < std::min(shape.size(), stored.size()); ++i) {
        shape[i] = shape[i] == 0 ? stored[i] : shape[i];
    }
    return {shape.begin(), shape.end()};
}

}  // namespace

PlannedWeights::PlannedWeights(const ModelSpec& spec,
                               const checkpoint::Checkpoint& checkpoint,
                               const WeightOptions& options,
                               AdapterChoice adapters)
    : spec_(spec),
      checkpoint_(checkpoint),
      weights_(checkpoint, options),
      choose_adapter_(std::move(adapters)) {
    for (const checkpoint::PlannedTensor& tensor : spec.blueprint->tensors) {
        planned_.emplace(TensorPlace{tensor.layer, tensor.role}, &tensor);
    }
}

const checkpoint::PlannedTensor* PlannedWeights::find_planned(const TensorPlace& place) const {
    const auto find_in = [&](std::optional<LayerIndex> layer) {
        const auto found = planned_.find({layer, place.second});
        return found == planned_.end() ? nullptr : found->second;
    };
    const checkpoint::PlannedTensor* own = find_in(place.first);
    const std::vector<LayerIndex>& homes = spec_.blueprint->softmax.stored_in;
    if (!place.first || homes.empty() || own == nullptr || weights_.has(find_name(*own))) {
        return own;
    }
    const checkpoint::PlannedTensor* shared = find_in(homes[place.first->value]);
    return shared == nullptr ? own : shared;
}

const checkpoint::PlannedTensor& PlannedWeights::find(const TensorPlace& place) const {
    const checkpoint::PlannedTensor* found = find_planned(place);
    ANAMNESIS_CHECK(found != nullptr, "a tensor of every role that is loaded is planned");
    return *found;
}

std::string PlannedWeights::find_name(const checkpoint::PlannedTensor& tensor) const {
    const std::string& prefix = tensor.is_in_body ? spec_.prefix : spec_.head_prefix;
    for (const std::string& other : tensor.other_names) {
        if (checkpoint_.find(prefix + tensor.name) == nullptr && weights_.has(prefix + other)) {
            return prefix + other;
        }
    }
    return prefix + tensor.name;
}

bool PlannedWeights::has(const TensorPlace& place) const {
    const checkpoint::PlannedTensor* found = find_planned(place);
    return found != nullptr && weights_.has(find_name(*found));
}

at::Tensor PlannedWeights::take(const TensorPlace& place) {
    const checkpoint::PlannedTensor& planned = find(place);
    const std::string name = find_name(planned);
    const auto shape = choose_shape(planned, checkpoint_.at(name).shape);
    names_.emplace(place, name);
    return planned.precision == checkpoint::Precision::matrix ? weights_.matrix(name, shape)
                                                              : weights_.vector(name, shape);
}

Linear PlannedWeights::take_product(const TensorPlace& place) {
    const checkpoint::PlannedTensor& planned = find(place);
    const std::string name = find_name(planned);
    const auto shape = choose_shape(planned, checkpoint_.at(name).shape);
    if (PackedRows packed = weights_.packed(name, shape); packed.is_defined()) {
        names_.emplace(place, name);
        return {.packed = std::move(packed)};
    }
    return {.weight = take(place), .rounds_in_training = weights_.options().rounds_in_training};
}

std::shared_ptr<const LowRank> PlannedWeights::take_adapter(const TensorPlace& place) {
    const std::string name = find_name(find(place));
    constexpr std::string_view suffix = ".weight";
    if (!choose_adapter_ || !name.ends_with(suffix)) {
        return nullptr;
    }
    const auto [found, is_new] = adapters_.try_emplace(name);
    if (is_new) {
        const Shape& shape = checkpoint_.at(name).shape;
        if (std::optional<AdapterFactors> chosen = choose_adapter_(name, shape)) {
            const auto rank = chosen->down.size(0);
            check_shape(chosen->down, {rank, static_cast<std::int64_t>(shape[1])}, "lora_A");
            check_shape(chosen->up, {static_cast<std::int64_t>(shape[0]), rank}, "lora_B");
            const std::string path = name.substr(0, name.size() - suffix.size());
            factors_.emplace(path + ".lora_A.weight", chosen->down);
            factors_.emplace(path + ".lora_B.weight", chosen->up);
            found->second = std::make_shared<const LowRank>(
                LowRank{.input = {.weight = std::move(chosen->down)},
                        .output = {.weight = std::move(chosen->up)},
                        .scale = chosen->scale});
        }
    }
    return found->second;
}

at::Tensor PlannedWeights::take_bytes(const TensorPlace& place) {
    const checkpoint::PlannedTensor& planned = find(place);
    const std::string name = find_name(planned);
    return weights_.bytes(name, choose_shape(planned, checkpoint_.at(name).shape));
}

Norm PlannedWeights::take_stream_norm(const TensorPlace& place) {
    const checkpoint::Blueprint& blueprint = *spec_.blueprint;
    if (blueprint.norm_kind == checkpoint::NormKind::layer) {
        return LayerNorm{.gain = take(place),
                         .bias = take({place.first, checkpoint::role::to_bias_role(place.second)}),
                         .eps = blueprint.norm_eps};
    }
    return RmsNorm{.gain = take(place),
                   .eps = blueprint.norm_eps,
                   .is_offset = blueprint.gain == checkpoint::Gain::offset};
}

at::Tensor LayerWeights::as_weight(const at::Tensor& decoded) const {
    const WeightOptions& options = all_.weights().options();
    return decoded.to(options.device, options.dtype.value_or(decoded.scalar_type()));
}

Linear LayerWeights::linear(std::string_view role) const {
    Linear linear = fixed_linear(role);
    linear.adapter = all_.take_adapter(place(role));
    return linear;
}

Linear LayerWeights::fixed_linear(std::string_view role) const {
    return with_bias(all_.take_product(place(role)), role);
}

Linear LayerWeights::readable_linear(std::string_view role) const {
    return with_bias(
        {.weight = tensor(role), .rounds_in_training = all_.weights().options().rounds_in_training},
        role);
}

Linear LayerWeights::with_bias(Linear linear, std::string_view role) const {
    if (const std::string bias = checkpoint::role::to_bias_role(role); has(bias)) {
        linear.bias = tensor(bias);
    }
    return linear;
}

RmsNorm LayerWeights::norm(std::string_view role, double eps, checkpoint::Gain gain) const {
    return {.gain = tensor(role), .eps = eps, .is_offset = gain == checkpoint::Gain::offset};
}

std::size_t LayerWeights::add_rotary(const checkpoint::RotarySettings& settings) const {
    RotarySpec rotary = make_rotary(settings);
    std::vector<RotarySpec>& rotaries = all_.rotaries();
    const auto same = [&](const RotarySpec& other) {
        return other.dimensions == rotary.dimensions && other.frequencies == rotary.frequencies &&
               other.magnitude == rotary.magnitude;
    };
    const auto found = std::ranges::find_if(rotaries, same);
    const auto index = static_cast<std::size_t>(found - rotaries.begin());
    if (found == rotaries.end()) {
        rotaries.push_back(std::move(rotary));
    }
    return index;
}

}  // namespace anamnesis::runtime
