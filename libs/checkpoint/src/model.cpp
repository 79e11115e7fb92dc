// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/model.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::array<std::string_view, 12> group_names{
    "q", "k", "v", "o", "gate", "latent", "mlp", "mixer", "norms", "embedding", "head", "other"};
static_assert(group_names[static_cast<std::size_t>(TensorGroup::other)] == "other");

bool is_softmax_kind(LayerKind kind) {
    return kind == LayerKind::full || kind == LayerKind::sliding || kind == LayerKind::mla;
}

}  // namespace

std::string_view to_string(LayerKind kind) noexcept {
    switch (kind) {
        using enum LayerKind;
        case full:
            return "full";
        case sliding:
            return "sliding";
        case mla:
            return "mla";
        case linear:
            return "linear";
        case conv:
            return "conv";
        case mlp:
            return "mlp";
    }
    return "unknown";
}

std::string_view to_string(RowRole role) noexcept {
    switch (role) {
        using enum RowRole;
        case query:
            return "query";
        case key:
            return "key";
        case value:
            return "value";
        case gate:
            return "gate";
        case latent:
            return "latent";
    }
    return "unknown";
}

std::string_view to_string(AttentionGroup group) noexcept {
    switch (group) {
        using enum AttentionGroup;
        case weight:
            return "weight";
        case bias:
            return "bias";
        case norm:
            return "norm";
        case adapter:
            return "adapter";
    }
    return "unknown";
}

std::string_view to_string(TensorGroup group) noexcept {
    return group_names[static_cast<std::size_t>(group)];
}

std::optional<TensorGroup> find_tensor_group(std::string_view name) noexcept {
    for (std::size_t i = 0; i < group_names.size(); ++i) {
        if (group_names[i] == name) {
            return static_cast<TensorGroup>(i);
        }
    }
    return std::nullopt;
}

bool Layer::is_softmax() const {
    return std::ranges::any_of(kinds, is_softmax_kind);
}

std::vector<LayerIndex> Model::find_layers(LayerKind kind) const {
    std::vector<LayerIndex> found;
    for (const Layer& layer : layers) {
        if (std::ranges::find(layer.kinds, kind) != layer.kinds.end()) {
            found.push_back(layer.index);
        }
    }
    return found;
}

const AttentionTensor* Model::find_attention(std::string_view tensor_name) const {
    const auto found = std::ranges::find(attention, tensor_name, &AttentionTensor::name);
    return found == attention.end() ? nullptr : &*found;
}

}  // namespace anamnesis::checkpoint
