// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/cross_entropy.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/model_spec.hpp"

namespace anamnesis::runtime {

struct LayerState;

/// Memory that one state or several hold.
struct HeldMemory {
    const void* identity = nullptr;  ///< equal in states that share it
    std::int64_t bytes = 0;
    bool is_page = false;  ///< of a cache: one more every `cache_page_tokens`, or a longer one
};

/// Tokens of a page of keys and values: few enough that a short text costs little, many enough that
/// products over a page run at full speed.
inline constexpr std::int64_t cache_page_tokens = 1024;

/// What a network keeps of one sequence: caches of softmax layers, states of linear layers.
/// Copies share all cache pages; writing to one leaves the other as it was.
// Assignment by value copies or moves.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions)
class NetworkState {
public:
    NetworkState();
    NetworkState(const NetworkState& other);
    NetworkState(NetworkState&& other) noexcept;
    NetworkState& operator=(NetworkState other) noexcept;
    ~NetworkState();

    /// Tokens read.
    std::int64_t length() const noexcept { return length_; }
    /// Bytes of caches and states, shared pages included.
    std::int64_t bytes() const;
    /// What `bytes` counts, piece by piece: pages of caches, and the states of linear layers, which
    /// no two states share. What several states hold together is the sum over different pieces.
    std::vector<HeldMemory> list_memory() const;

private:
    friend class Network;

    std::vector<LayerState> layers_;
    std::int64_t length_ = 0;
};

/// The two factors of an adapter in float32 or float64: scale * up down is added to a matrix.
struct AdapterFactors {
    at::Tensor down{};  ///< [rank, inputs], PEFT's lora_A
    at::Tensor up{};    ///< [outputs, rank], lora_B
    double scale = 1.0;
};

/// Asked for every matrix of a product that may have an adapter, by its name in the checkpoint and
/// its shape, [outputs, inputs].
using AdapterChoice =
    std::function<std::optional<AdapterFactors>(const std::string& name, const Shape& shape)>;

struct NetworkOptions {
    std::optional<at::ScalarType> weight_type{};  ///< of matrices; absent: as stored
    std::optional<at::ScalarType> cache_type{};   ///< absent: the type of the embedding
    at::Device device = at::kCPU;
    /// Copies that may be written and ask for gradients, instead of the mapped file.
    bool is_trainable = false;
    /// Where gradients are recorded and the processor multiplies bfloat16, what meets bfloat16
    /// weights is rounded to it, as mixed precision has it; otherwise they are widened.
    bool rounds_in_training = false;
    /// Tensors to compute with in place of the file's, by name: of its shape, in any float type.
    std::map<std::string, at::Tensor> replacements{};
    AdapterChoice adapters{};  ///< of none, where it is empty
    /// Keeps of each layer only what goes into it, and computes the rest again in the backward
    /// pass.
    bool recomputes_layers = false;
    /// Block-quantised matrices stay so on the CPU, in the file's memory. They are no parameters,
    /// and no gradient flows through them.
    bool keeps_packed = false;
};

/// Told the residual stream: 0 is the embedding, i the stream after layer i - 1. [B, T, d].
using StreamObserver = std::function<void(std::size_t index, const at::Tensor& stream)>;

/// What a softmax layer computes on its way, as parts of the graph where gradients are recorded.
/// The scaled logits are q k^T / sqrt(D); query head h reads key-value head h / (heads / kv_heads).
struct AttentionValues {
    at::Tensor q;       ///< [B, T, heads, D] after norms, rotation and length scaling
    at::Tensor k;       ///< [B, T, kv_heads, D] after norms and rotation
    at::Tensor v;       ///< [B, T, kv_heads, D]
    at::Tensor mixed;   ///< [B, T, heads, D] softmax(logits) v
    at::Tensor gate;    ///< [B, T, heads, D] before its sigmoid; undefined without an output gate
    at::Tensor output;  ///< [B, T, d] what the layer's o_proj gives
    at::Tensor slopes;  ///< [heads] of ALiBi, what a logit loses a token; undefined: nothing
};

/// Told of each softmax layer of a forward pass, from the lowest.
using AttentionObserver = std::function<void(std::size_t layer, const AttentionValues& values)>;

/// What a matrix reads.
struct MatrixInput {
    LayerIndex layer;
    /// Of the matrix (checkpoint/tensor_roles.hpp), of several with one input the first; of an
    /// expert's matrix that of a dense feed-forward.
    std::string_view role;
    const at::Tensor& values;               ///< [B, T, inputs]; of an expert [n, inputs]
    std::optional<std::uint32_t> expert{};  ///< that reads it
    at::Tensor tokens{};                    ///< of an expert [n] int64: which of the B T tokens
};

/// Told what matrices read, in the order in which a forward pass comes to them. Softmax layers tell
/// `query` and `output`, those of latent attention also `query_input` and `key_value`; dense
/// feed-forwards `gate` (without gates `up`) and `down`; mixtures `router`, what each expert reads,
/// `shared_down` and `latent_output`.
using InputObserver = std::function<void(const MatrixInput& input)>;

/// What decides where a softmax layer looks: after norms, rotation and length scaling.
struct Routing {
    at::Tensor q;  ///< [B, T, heads, D]
    at::Tensor k;  ///< [B, T, kv_heads, D]
};

/// What the last matrices of a layer of latent attention give, before anything is turned.
struct LatentRows {
    at::Tensor query;      ///< [B, T, heads (nope + rope)]
    at::Tensor key_value;  ///< [B, T, heads (nope + value)]: head by head, key then value
};

/// A hybrid model as a function of tokens. Everything else builds on this: generation, training,
/// analysis.
///
/// Threads: calls that share no state may run at once.
class Network {
public:
    /// Errors: `not_found`, `mismatch` or `unsupported`, naming the tensor.
    static Network load(const checkpoint::Checkpoint& checkpoint,
                        ModelSpec spec,
                        const NetworkOptions& options);

    Network(Network&& other) noexcept;
    Network& operator=(Network&& other) noexcept;
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;
    ~Network();

    const ModelSpec& spec() const& noexcept;

    /// Weights by their names in the checkpoint, sorted.
    const std::map<std::string, at::Tensor>& parameters() const& noexcept;

    /// What learns, by name: the factors of the adapters
    /// ("model.layers.3.self_attn.q_proj.lora_A.weight"), or the weights where there are none.
    const std::map<std::string, at::Tensor>& trained() const& noexcept;

    /// The weight that is `role` to a layer, or to the model outside the layers
    /// (checkpoint/tensor_roles.hpp). Errors: `not_found`.
    const at::Tensor& parameter(std::optional<LayerIndex> layer, std::string_view role) const&;

    /// For each layer the values that a token leaves for the backward pass, an estimate.
    std::vector<std::uint64_t> count_kept_values() const;

    NetworkState make_state() const;

    /// The final norm's output for whole texts, without state. Differentiable.
    /// Shapes: ids [B, T] int64 -> [B, T, d].
    at::Tensor forward(const at::Tensor& ids,
                       const StreamObserver& observer = {},
                       const AttentionObserver& attention = {},
                       const InputObserver& inputs = {}) const;

    /// The routing that a softmax layer makes of given inputs of its W_Q, at positions from 0 on.
    /// Shapes: input [B, T, d].   Errors: `internal` for a layer without softmax attention.
    Routing route(LayerIndex layer, const at::Tensor& input) const;

    /// The rows that a layer of latent attention makes of given inputs of the layer.
    /// Shapes: input [B, T, d].   Errors: `internal` for a layer without latent attention.
    LatentRows project_latents(LayerIndex layer, const at::Tensor& input) const;

    /// `forward` in steps: what enters the layers, the stream after a layer, the final norm.
    /// `ids` are the texts of the stream. Shapes: ids [B, T] int64, stream [B, T, d].
    at::Tensor embed(const at::Tensor& ids) const;
    at::Tensor pass(LayerIndex layer,
                    const at::Tensor& ids,
                    const at::Tensor& stream,
                    const AttentionObserver& attention = {},
                    const InputObserver& inputs = {}) const;
    at::Tensor normalise(const at::Tensor& stream) const;

    /// `forward` for one row that holds several texts, `boundaries` their beginnings and the row's
    /// length: 0, 29, 48. Each text's tokens are mixed by themselves, from position 0 on: no
    /// attention, recurrent or convolution state crosses a boundary.
    /// Shapes: ids [1, T] int64 -> [1, T, d].
    at::Tensor forward_packed(const at::Tensor& ids,
                              std::span<const std::int64_t> boundaries) const;

    /// The same for the next T tokens of B sequences, whose states move on. No gradients.
    at::Tensor advance(const at::Tensor& ids,
                       std::span<NetworkState* const> states,
                       const StreamObserver& observer = {}) const;

    /// The same where only what the last token gives is wanted, as of a prompt: the last layers
    /// compute no more than that and what they keep. Shapes: ids [B, T] int64 -> [B, 1, d].
    at::Tensor advance_to_last(const at::Tensor& ids, std::span<NetworkState* const> states) const;

    /// Shapes: hidden [..., d] -> logits [..., vocabulary], in the type of activations.
    at::Tensor logits(const at::Tensor& hidden) const;

    /// The head in the words of `summed_cross_entropy`, which makes no logits of all rows at once.
    LogitHead logit_head() const;

private:
    struct Parts;
    explicit Network(std::unique_ptr<Parts> parts);
    at::Tensor run(const at::Tensor& ids,
                   std::span<NetworkState* const> states,
                   std::span<const std::int64_t> boundaries,
                   const StreamObserver& observer,
                   const AttentionObserver& attention,
                   const InputObserver& inputs,
                   std::int64_t wanted) const;
    at::Tensor advance(const at::Tensor& ids,
                       std::span<NetworkState* const> states,
                       const StreamObserver& observer,
                       std::int64_t wanted) const;

    std::unique_ptr<Parts> parts_;
};

/// The network of a checkpoint as `HybridModel::load` makes it: with these options, and LibTorch
/// given its threads; `replacements` and `adapters` as in `NetworkOptions`. Errors: those of
/// `describe` and `Network::load`; `usage` or `unsupported` for the device.
Network load_network(const checkpoint::Checkpoint& checkpoint,
                     const checkpoint::Model& model,
                     const LoadOptions& options,
                     const std::map<std::string, at::Tensor>& replacements = {},
                     const AdapterChoice& adapters = {});

}  // namespace anamnesis::runtime
