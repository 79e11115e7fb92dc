// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/network.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tanh.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/runtime/model_spec.hpp"

#include "key_value_cache.hpp"
#include "layer.hpp"
#include "layer_call.hpp"
#include "layer_pass.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "rotary.hpp"
#include "token_embedding.hpp"

namespace anamnesis::runtime {
namespace {

/// Outside the layers.
TensorPlace make_place(std::string_view role) {
    return {std::nullopt, std::string(role)};
}

}  // namespace

NetworkState::NetworkState() = default;
NetworkState::NetworkState(NetworkState&& other) noexcept = default;
NetworkState::~NetworkState() = default;

NetworkState::NetworkState(const NetworkState& other)
    : layers_(other.layers_), length_(other.length_) {
    for (LayerState& layer : layers_) {
        // Linear states are written in place; cache pages are copied when one is written.
        if (layer.recurrent.defined()) {
            layer.recurrent = layer.recurrent.clone();
        }
        if (layer.past.defined()) {
            layer.past = layer.past.clone();
        }
    }
}

NetworkState& NetworkState::operator=(NetworkState other) noexcept {
    std::swap(layers_, other.layers_);
    std::swap(length_, other.length_);
    return *this;
}

std::int64_t NetworkState::bytes() const {
    std::int64_t total = 0;
    for (const HeldMemory& held : list_memory()) {
        total += held.bytes;
    }
    return total;
}

std::vector<HeldMemory> NetworkState::list_memory() const {
    std::vector<HeldMemory> memory;
    for (const LayerState& layer : layers_) {
        if (layer.cache) {
            layer.cache->list_pages([&](const void* page, std::int64_t bytes) {
                memory.push_back({.identity = page, .bytes = bytes, .is_page = true});
            });
        }
        for (const at::Tensor* state : {&layer.recurrent, &layer.past}) {
            if (state->defined()) {
                memory.push_back({.identity = state->const_data_ptr(),
                                  .bytes = static_cast<std::int64_t>(state->nbytes())});
            }
        }
    }
    return memory;
}

struct Network::Parts {
    ModelSpec spec{};
    at::Device device = at::kCPU;
    at::ScalarType activation_type = at::kFloat;
    at::ScalarType cache_type = at::kFloat;
    TokenEmbedding embedding{};
    std::vector<LoadedLayer> layers{};
    Norm final_norm{};
    Linear head{};
    std::vector<RotarySpec> rotaries{};
    std::vector<at::Tensor> frequencies{};  ///< of each of them, where they are needed
    bool recomputes_layers = false;
    bool reads_embeddings = false;  ///< within its layers
    std::map<std::string, at::Tensor> parameters{};
    std::map<std::string, at::Tensor> factors{};  ///< of adapters
    std::map<TensorPlace, std::string> names{};

    /// Those of `length` tokens from where each sequence of the call is.
    void add_tables(Call& call, std::int64_t length) const {
        const at::Tensor positions = positions_from(call.starts, length, device);
        for (std::size_t i = 0; i < rotaries.size(); ++i) {
            call.tables.push_back(make_tables(positions, frequencies[i], rotaries[i].magnitude));
        }
    }

    /// Of how many last tokens each layer must tell the stream, so that the network can tell that
    /// of the last `wanted`.
    std::vector<std::int64_t> count_wanted(std::int64_t wanted, std::int64_t length) const {
        std::vector<std::int64_t> counts(layers.size());
        for (std::size_t i = layers.size(); i-- > 0;) {
            counts[i] = wanted;
            wanted = count_needed(layers[i], wanted, length);
        }
        return counts;
    }
};

Network::Network(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Network::Network(Network&& other) noexcept = default;
Network& Network::operator=(Network&& other) noexcept = default;
Network::~Network() = default;

Network Network::load(const checkpoint::Checkpoint& checkpoint,
                      ModelSpec spec,
                      const NetworkOptions& options) {
    // Views of trainable weights must know where their gradients go.
    const at::AutoGradMode records_views(options.is_trainable || options.adapters);
    auto parts = std::make_unique<Parts>(Parts{.spec = std::move(spec)});
    const ModelSpec& model = parts->spec;
    PlannedWeights weights(model,
                           checkpoint,
                           {.dtype = options.weight_type,
                            .device = options.device,
                            .copies = options.is_trainable,
                            .replacements = options.replacements,
                            .rounds_in_training = options.rounds_in_training,
                            .keeps_packed = options.keeps_packed},
                           options.adapters);
    parts->device = options.device;
    parts->activation_type = weights.weights().activation_type();
    parts->recomputes_layers = options.recomputes_layers;
    parts->embedding = load_embedding(weights, parts->device);
    for (std::uint32_t i = 0; i < model.layers.size(); ++i) {
        parts->layers.push_back(load_layer(model.layers[i], LayerWeights(weights, LayerIndex(i))));
    }
    parts->reads_embeddings = std::ranges::any_of(parts->layers, [](const LoadedLayer& layer) {
        return std::holds_alternative<SharedBlockLayer>(layer.mixer);
    });
    parts->rotaries = std::move(weights.rotaries());
    for (const RotarySpec& rotary : parts->rotaries) {
        parts->frequencies.push_back(make_frequencies(
            rotary, at::TensorOptions().dtype(parts->activation_type).device(parts->device)));
    }
    parts->final_norm = weights.take_stream_norm(make_place(checkpoint::role::final_norm));
    parts->head = model.is_head_tied ? parts->embedding.tokens
                                     : weights.take_product(make_place(checkpoint::role::head));
    const std::string head_bias = checkpoint::role::to_bias_role(checkpoint::role::head);
    if (model.blueprint->find(std::nullopt, head_bias) != nullptr) {
        parts->head.bias = weights.take(make_place(head_bias));
    }
    parts->cache_type = options.cache_type.value_or(
        parts->embedding.tokens.packed.is_defined() ? at::kBFloat16
                                                    : parts->embedding.tokens.weight.scalar_type());
    parts->parameters = weights.weights().taken();
    parts->factors = weights.factors();
    parts->names = weights.names();
    return Network(std::move(parts));
}

const ModelSpec& Network::spec() const& noexcept {
    return parts_->spec;
}

const std::map<std::string, at::Tensor>& Network::parameters() const& noexcept {
    return parts_->parameters;
}

const std::map<std::string, at::Tensor>& Network::trained() const& noexcept {
    return parts_->factors.empty() ? parts_->parameters : parts_->factors;
}

const at::Tensor& Network::parameter(std::optional<LayerIndex> layer,
                                     std::string_view role) const& {
    const auto found = parts_->names.find({layer, std::string(role)});
    if (found == parts_->names.end()) {
        throw Error(ErrorKind::not_found,
                    format("{} has no tensor of role {}",
                           layer ? format("layer {}", layer->value) : std::string("the model"),
                           in_quotes(role)));
    }
    return parts_->parameters.at(found->second);
}

std::vector<std::uint64_t> Network::count_kept_values() const {
    std::vector<std::uint64_t> counts;
    for (const LoadedLayer& layer : parts_->layers) {
        counts.push_back(runtime::count_kept_values(layer, parts_->spec.hidden_size));
    }
    return counts;
}

NetworkState Network::make_state() const {
    const CacheOptions options{.type = parts_->cache_type, .page_length = cache_page_tokens};
    NetworkState state;
    for (const LoadedLayer& layer : parts_->layers) {
        state.layers_.push_back(std::visit(
            [&](const auto& mixer) { return runtime::make_state(mixer, options); }, layer.mixer));
    }
    return state;
}

at::Tensor Network::run(const at::Tensor& ids,
                        std::span<NetworkState* const> states,
                        std::span<const std::int64_t> boundaries,
                        const StreamObserver& observer,
                        const AttentionObserver& attention,
                        const InputObserver& inputs,
                        std::int64_t wanted) const {
    const Parts& parts = *parts_;
    Call call{.starts = std::vector<std::int64_t>(static_cast<std::size_t>(ids.size(0))),
              .attention = attention ? &attention : nullptr,
              .inputs = inputs ? &inputs : nullptr};
    for (std::size_t b = 0; b < states.size(); ++b) {
        call.starts[b] = states[b]->length_;
    }
    parts.add_tables(call, ids.size(1));
    at::Tensor x = runtime::embed(parts.embedding, ids, call.starts, boundaries);
    if (parts.reads_embeddings) {
        call.embeddings = x;
    }
    if (observer) {
        observer(0, x);
    }
    const bool recomputes =
        parts.recomputes_layers && states.empty() && !observer && !attention && !inputs;
    // Kept for the backward pass where layers run again in it.
    const auto passage = std::make_shared<Passage>(make_passage(call, boundaries));
    const std::vector<std::int64_t> tokens = parts.count_wanted(wanted, ids.size(1));
    std::vector<LayerState*> layer_states(states.size());
    for (std::size_t i = 0; i < parts.layers.size(); ++i) {
        const LoadedLayer& layer = parts.layers[i];
        if (recomputes) {
            x = pass_and_forget(layer, x, passage);
            continue;
        }
        passage->call.layer = i;
        passage->call.wanted = tokens[i];
        for (std::size_t b = 0; b < states.size(); ++b) {
            layer_states[b] = &states[b]->layers_[i];
        }
        x = runtime::pass(layer, x, *passage, layer_states);
        if (observer) {
            observer(i + 1, x);
        }
    }
    for (NetworkState* state : states) {
        state->length_ += ids.size(1);
    }
    return normalise(x);
}

at::Tensor Network::embed(const at::Tensor& ids) const {
    check_shape(ids, {-1, -1}, "token ids");
    const std::vector<std::int64_t> starts(static_cast<std::size_t>(ids.size(0)));
    return runtime::embed(parts_->embedding, ids, starts, {});
}

at::Tensor Network::pass(LayerIndex layer,
                         const at::Tensor& ids,
                         const at::Tensor& stream,
                         const AttentionObserver& attention,
                         const InputObserver& inputs) const {
    const Parts& parts = *parts_;
    ANAMNESIS_CHECK(layer.value < parts.layers.size(), "the model has the layer");
    Call call{.starts = std::vector<std::int64_t>(static_cast<std::size_t>(ids.size(0))),
              .layer = layer.value,
              .attention = attention ? &attention : nullptr,
              .inputs = inputs ? &inputs : nullptr};
    parts.add_tables(call, ids.size(1));
    if (parts.reads_embeddings) {
        call.embeddings = embed(ids);
    }
    return runtime::pass(parts.layers[layer.value], stream, make_passage(call, {}), {});
}

at::Tensor Network::normalise(const at::Tensor& stream) const {
    return runtime::normalise(parts_->final_norm, stream);
}

at::Tensor Network::forward(const at::Tensor& ids,
                            const StreamObserver& observer,
                            const AttentionObserver& attention,
                            const InputObserver& inputs) const {
    return run(ids, {}, {}, observer, attention, inputs, ids.size(1));
}

Routing Network::route(LayerIndex layer, const at::Tensor& input) const {
    check_shape(input, {-1, -1, -1}, "inputs of a softmax layer");
    ANAMNESIS_CHECK(layer.value < parts_->layers.size(), "the model has the layer");
    Call call{.starts = std::vector<std::int64_t>(static_cast<std::size_t>(input.size(0)))};
    parts_->add_tables(call, input.size(1));
    return runtime::route(parts_->layers[layer.value], input.to(parts_->activation_type), call);
}

LatentRows Network::project_latents(LayerIndex layer, const at::Tensor& input) const {
    check_shape(input, {-1, -1, -1}, "inputs of a layer of latent attention");
    ANAMNESIS_CHECK(layer.value < parts_->layers.size(), "the model has the layer");
    return runtime::project_latents(parts_->layers[layer.value], input.to(parts_->activation_type));
}

at::Tensor Network::forward_packed(const at::Tensor& ids,
                                   std::span<const std::int64_t> boundaries) const {
    check_shape(ids, {1, -1}, "token ids of a packed row");
    ANAMNESIS_CHECK(
        boundaries.size() >= 2 && boundaries.front() == 0 && boundaries.back() == ids.size(1) &&
            std::ranges::adjacent_find(boundaries, std::greater_equal<>()) == boundaries.end(),
        "boundaries of a packed row ascend from 0 to its length");
    return run(ids, {}, boundaries, {}, {}, {}, ids.size(1));
}

at::Tensor Network::advance(const at::Tensor& ids,
                            std::span<NetworkState* const> states,
                            const StreamObserver& observer) const {
    return advance(ids, states, observer, ids.size(1));
}

at::Tensor Network::advance_to_last(const at::Tensor& ids,
                                    std::span<NetworkState* const> states) const {
    return advance(ids, states, {}, 1);
}

at::Tensor Network::advance(const at::Tensor& ids,
                            std::span<NetworkState* const> states,
                            const StreamObserver& observer,
                            std::int64_t wanted) const {
    const at::NoGradGuard no_gradients;
    ANAMNESIS_CHECK(static_cast<std::size_t>(ids.size(0)) == states.size(),
                    "one state for each row of token ids");
    // Each operator costs its way through the dispatcher, which on a device is longer than its
    // work.
    std::optional<at::AutoDispatchBelowADInplaceOrView> straight_to_the_device;
    if (!parts_->device.is_cpu()) {
        straight_to_the_device.emplace();
    }
    return run(ids, states, {}, observer, {}, {}, wanted);
}

at::Tensor Network::logits(const at::Tensor& hidden) const {
    const checkpoint::Blueprint& blueprint = *parts_->spec.blueprint;
    const at::Tensor logits = scaled(apply(parts_->head, hidden), blueprint.logit_scale);
    if (!blueprint.logit_softcap) {
        return logits;
    }
    return at::tanh(logits / *blueprint.logit_softcap) * *blueprint.logit_softcap;
}

LogitHead Network::logit_head() const {
    const checkpoint::Blueprint& blueprint = *parts_->spec.blueprint;
    return {.weight = parts_->head.weight,
            .bias = parts_->head.bias,
            .scale = blueprint.logit_scale,
            .softcap = blueprint.logit_softcap,
            .rounds_in_training = parts_->head.rounds_in_training};
}

}  // namespace anamnesis::runtime
