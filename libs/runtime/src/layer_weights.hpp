// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/rotary_settings.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "linear.hpp"
#include "norm.hpp"
#include "rotary_spec.hpp"
#include "weights.hpp"

namespace anamnesis::runtime {

/// The layer, absent outside the layers, and what a tensor is to it.
using TensorPlace = std::pair<std::optional<LayerIndex>, std::string>;

/// The tensors of a checkpoint by what the blueprint says that they are: whoever loads asks by role
/// and knows no name and no shape.
class PlannedWeights {
public:
    PlannedWeights(const ModelSpec& spec,
                   const checkpoint::Checkpoint& checkpoint,
                   const WeightOptions& options,
                   AdapterChoice adapters = {});

    /// True where it is planned and the checkpoint has it.
    bool has(const TensorPlace& place) const;
    /// The adapter of the matrix there; null where it is given none.
    std::shared_ptr<const LowRank> take_adapter(const TensorPlace& place);
    /// In the type that the plan says. Errors: `not_found` where the checkpoint lacks it;
    /// `mismatch` for another shape; `unsupported` for types that do not compute.
    at::Tensor take(const TensorPlace& place);

    /// The matrix there for products alone: packed where it lies so and may stay so.
    Linear take_product(const TensorPlace& place);

    /// Codes of a tensor of bytes, on the host.
    /// Errors: as above; `unsupported` where weights are trained, which codes cannot be.
    at::Tensor take_bytes(const TensorPlace& place);
    /// A norm of the residual stream, of the kind that the blueprint says.
    Norm take_stream_norm(const TensorPlace& place);

    const ModelSpec& spec() const& noexcept { return spec_; }
    const Weights& weights() const& noexcept { return weights_; }
    /// The name in the checkpoint of everything taken.
    const std::map<TensorPlace, std::string>& names() const& noexcept { return names_; }
    /// Factors of all adapters: "model.layers.3.self_attn.q_proj.lora_A.weight".
    const std::map<std::string, at::Tensor>& factors() const& noexcept { return factors_; }
    /// The distinct rotary encodings of all layers so far.
    std::vector<RotarySpec>& rotaries() & noexcept { return rotaries_; }

private:
    /// Null where none is planned. Of a block that layers share, what the layer that stores it
    /// has, unless this one has its own.
    const checkpoint::PlannedTensor* find_planned(const TensorPlace& place) const;
    const checkpoint::PlannedTensor& find(const TensorPlace& place) const;
    std::string find_name(const checkpoint::PlannedTensor& tensor) const;

    const ModelSpec& spec_;
    const checkpoint::Checkpoint& checkpoint_;
    Weights weights_;
    std::map<TensorPlace, const checkpoint::PlannedTensor*> planned_;
    std::map<TensorPlace, std::string> names_;
    std::vector<RotarySpec> rotaries_;
    AdapterChoice choose_adapter_;
    /// By the matrix's name: layers may share one.
    std::map<std::string, std::shared_ptr<const LowRank>> adapters_;
    std::map<std::string, at::Tensor> factors_;
};

/// The same for one layer: what mixers and feed-forwards load from.
class LayerWeights {
public:
    LayerWeights(PlannedWeights& all, LayerIndex layer) : all_(all), layer_(layer) {}

    /// The same layer, where the roles of a part begin so.
    LayerWeights with_roles(std::string_view prefix) const {
        LayerWeights part = *this;
        part.role_prefix_ = prefix;
        return part;
    }

    bool has(std::string_view role) const { return all_.has(place(role)); }
    at::Tensor tensor(std::string_view role) const { return all_.take(place(role)); }
    at::Tensor bytes(std::string_view role) const { return all_.take_bytes(place(role)); }
    /// A matrix that was decoded, in the type and on the device of weights.
    at::Tensor as_weight(const at::Tensor& decoded) const;
    /// With its bias, where the checkpoint has one, and the adapter that it is given.
    Linear linear(std::string_view role) const;
    /// The same without an adapter.
    Linear fixed_linear(std::string_view role) const;
    /// The same for a weight that is also read by itself: it is never packed.
    Linear readable_linear(std::string_view role) const;
    RmsNorm norm(std::string_view role,
                 double eps,
                 checkpoint::Gain gain = checkpoint::Gain::plain) const;
    Norm stream_norm(std::string_view role) const { return all_.take_stream_norm(place(role)); }
    /// The number of the encoding in `Call::tables`.
    std::size_t add_rotary(const checkpoint::RotarySettings& settings) const;

    const checkpoint::Blueprint& blueprint() const { return *all_.spec().blueprint; }
    at::Device device() const { return all_.weights().options().device; }
    at::ScalarType activation_type() const { return all_.weights().activation_type(); }

private:
    Linear with_bias(Linear linear, std::string_view role) const;
    TensorPlace place(std::string_view role) const {
        return {layer_, role_prefix_ + std::string(role)};
    }

    PlannedWeights& all_;
    LayerIndex layer_;
    std::string role_prefix_{};
};

}  // namespace anamnesis::runtime
