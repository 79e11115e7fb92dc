// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"

namespace anamnesis::checkpoint {

/// A family's own name for a tensor that mixers call otherwise: of a matrix the module that has its
/// ".weight" and ".bias", of a vector the whole name within the module of the mixer.
struct Renamed {
    std::string_view role;
    std::string_view name;
};

/// Where the tensors of a mixer or of a feed-forward are, within a layer.
struct Module {
    std::string_view name;           ///< "self_attn"; empty: the layer itself
    std::vector<Renamed> renamed{};  ///< what is not called as the mixer calls it
    /// Of the module in other versions of the family's libraries.
    std::vector<std::string_view> other_names{};
};

/// Lists the tensors of one module of one layer in a blueprint.
class LayerTensors {
public:
    /// `module` must live as long.
    LayerTensors(Blueprint& blueprint, LayerIndex layer, const Module& module, TensorGroup group)
        : blueprint_(blueprint), layer_(layer), module_(module), group_(group) {}

    /// The same layer in another module, which must live as long, for a mixer of several modules.
    LayerTensors in_module(const Module& module, TensorGroup group) const {
        LayerTensors other(blueprint_, layer_, module, group);
        other.role_prefix_ = role_prefix_;
        other.is_optional_ = is_optional_;
        return other;
    }
    /// Roles of what is added from here on begin so: two parts of a layer may have the same roles.
    void set_role_prefix(std::string_view prefix) { role_prefix_ = prefix; }
    /// What is added from here on is named as of the layer that stores it for this one.
    void set_home(LayerIndex home) { home_ = home; }
    /// What is added from here on may be missing: another layer may store it.
    void make_optional() { is_optional_ = true; }

    const Blueprint& blueprint() const { return blueprint_; }
    LayerIndex layer() const { return layer_; }
    std::uint64_t hidden_size() const { return blueprint_.hidden_size; }

    struct Matrix {
        std::string_view role;
        std::string_view name;  ///< of the module: "q_proj" has "q_proj.weight"
        std::uint64_t outputs = 0;
        std::uint64_t inputs = 0;
        Presence presence = Presence::required;
        Presence bias = Presence::optional;
        Initial initial = Initial::matrix;
        Initial initial_bias = Initial::zeros;
        Storage storage = Storage::only;
    };
    /// "name.weight" and, unless `bias` is absent, "name.bias".
    void add(const Matrix& matrix);

    struct Vector {
        std::string_view role;
        std::string_view name;  ///< whole: "A_log", "conv1d.weight"
        Shape shape;
        Initial initial = Initial::ones;
        Presence presence = Presence::required;
        std::vector<Shape> other_shapes{};
    };
    void add(const Vector& vector);

    /// The matrices of all experts in one tensor.
    struct Stack {
        std::string_view role;
        std::string_view name;  ///< whole
        Shape shape;
        Initial initial = Initial::matrix;
        Storage storage = Storage::stacked;
    };
    void add(const Stack& stack);

    /// What the blueprint's rules say that softmax attention has: projections with their biases.
    void add_softmax_projections();
    /// The same for the gains of queries and keys.
    void add_softmax_norms();

    /// The group of what is added from here on.
    void set_group(TensorGroup group) { group_ = group; }

private:
    std::string_view find_name(std::string_view role, std::string_view name) const;
    Presence find_presence(Presence presence) const;
    void add_softmax_rules(bool (*wants)(AttentionGroup));
    /// `name` within the module.
    PlannedTensor make(std::string_view role, const std::string& name, const Shape& shape) const;

    Blueprint& blueprint_;
    LayerIndex layer_;
    const Module& module_;
    TensorGroup group_;
    std::string_view role_prefix_{};
    bool is_optional_ = false;
    LayerIndex home_ = layer_;
};

}  // namespace anamnesis::checkpoint
