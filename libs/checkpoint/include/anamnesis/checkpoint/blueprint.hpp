// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

namespace anamnesis::checkpoint {

enum class Presence : std::uint8_t {
    required,
    optional,
    absent,  ///< the config says that there is none, so one contradicts it
};

/// How a stored norm weight w acts on the normalised value.
enum class Gain : std::uint8_t {
    plain,   ///< w * x
    offset,  ///< (1 + w) * x: Qwen3-Next, Qwen3.5, Gemma
};

/// Which type a tensor has where a model runs.
enum class Precision : std::uint8_t {
    matrix,  ///< of products: as stored, or as the caller asks for matrices
    vector,  ///< gains, biases, decays and kernels: the type of activations
};

/// What a tensor holds before training.
enum class Initial : std::uint8_t {
    embedding,
    matrix,
    stream_matrix,  ///< its product is added to the residual stream
    ones,
    zeros,
    kernel,      ///< of a convolution: [channels, 1, taps]
    log_rate,    ///< A_log: ln of a rate between 0 and 16
    log_ranks,   ///< A_log of Mamba-1: ln of 1, 2, ... in each row
    decay_rate,  ///< of RG-LRU: e^-softplus of it is between 0.9 and 0.999
    step_bias,   ///< dt_bias: softplus of it is a step between 0.001 and 0.1
};

/// Where one set of matrices may be stored in two ways.
enum class Storage : std::uint8_t {
    only,
    separate,  ///< each by itself: what is written
    stacked,   ///< all in one tensor: read as well
};

/// The rows of softmax attention that a tensor holds.
struct AttentionRows {
    AttentionGroup group = AttentionGroup::weight;
    RowLayout layout{};
    std::vector<LayerIndex> shared_by{};  ///< layers that use this stored tensor; empty: its own
};

/// A tensor that a config says there is.
struct PlannedTensor {
    std::string name;                        ///< canonical: "layers.3.self_attn.q_proj.weight"
    std::vector<std::string> other_names{};  ///< of other versions of the family's libraries
    Shape shape;                             ///< a size of 0 may be any
    std::vector<Shape> other_shapes{};
    std::string role;  ///< tensor_roles.hpp; unique in its layer
    std::optional<LayerIndex> layer{};
    std::optional<TensorGroup> group{};  ///< absent: rows of several roles
    Presence presence = Presence::required;
    Precision precision = Precision::matrix;
    Initial initial = Initial::matrix;
    Storage storage = Storage::only;
    std::optional<AttentionRows> attention{};
    bool is_in_body = true;  ///< below the prefix of the text model, unlike `lm_head`
};

/// A tensor that every softmax layer has. Names are canonical; "{layer}" stands for the layer that
/// stores it, "{block}" for the number of the user among the layers that share blocks (Zamba2).
struct TensorRule {
    std::string name;
    AttentionGroup group = AttentionGroup::weight;
    RowLayout layout{};
    std::optional<std::uint64_t> columns{};  ///< expected inputs; absent: not checked, or rank 1
    Shape shape{};                           ///< of a stack of matrices; empty: by rows and columns
    Presence presence = Presence::required;
    std::string role{};
};

/// What softmax layers store, for a layer of any number, and what tells them from other layers.
struct SoftmaxRules {
    std::vector<TensorRule> tensors{};
    /// Names that only softmax layers have, though other mixers share the rest with them.
    std::vector<std::string> softmax_only{};
    /// Names that only the other mixers have.
    std::vector<std::string> mixer_only{};
    /// True where other mixers also have tensors with the names of the rules.
    bool mixers_share_names = false;
    /// For each layer the layer that stores its block; empty: every layer its own.
    std::vector<LayerIndex> stored_in{};
};

/// Where the norms of a mixer or of a feed-forward f are. The residual stream is x.
enum class NormPlacement : std::uint8_t {
    before,     ///< x + f(norm(x))
    after,      ///< x + norm(f(x)): OLMo's softmax layers
    both,       ///< x + post_norm(f(norm(x))): Gemma 3, LFM3
    of_stream,  ///< norm(x) + f(norm(x)): MiniMax
    inside,     ///< x + f(x), where f normalises by itself: Zamba2
};

/// How what a mixer or a feed-forward computes joins the residual stream.
struct ResidualSpec {
    NormPlacement norms = NormPlacement::before;
    double stream_scale = 1.0;  ///< of the stream that it is added to
    double branch_scale = 1.0;  ///< of what is added
};

/// What a layer computes: its mixer, then its feed-forward.
struct LayerSpec {
    MixerSpec mixer{};
    FeedForwardSpec feed_forward{};
    ResidualSpec mixer_residual{};
    ResidualSpec feed_forward_residual{};
    /// True where both read the layer's input, and the stream takes both at once (GPT-NeoX).
    bool is_parallel = false;
};

/// What the norms of layers and the final one compute.
enum class NormKind : std::uint8_t {
    rms,
    layer,  ///< less the mean, and with a bias (GPT-NeoX)
};

/// What a config (or a routing file) says that a model is.
/// Source: the modeling code of each family; docs/families.md.
struct Blueprint {
    std::string family;
    std::string evidence;
    std::uint32_t hidden_size = 0;      ///< 0: not stated
    std::uint32_t vocabulary_size = 0;  ///< 0: not stated
    std::uint32_t context_length = 0;   ///< max_position_embeddings
    double norm_eps = 1e-6;
    Gain gain = Gain::plain;             ///< of the norms of layers and the final one
    NormKind norm_kind = NormKind::rms;  ///< of the same
    double embedding_scale = 1.0;
    double logit_scale = 1.0;
    std::optional<double> logit_softcap{};  ///< c: logits are c tanh(logits / c), after the scale
    std::optional<bool> is_head_tied{};     ///< absent: told from the tensors
    std::string prefix = "model.";      ///< of the names in files that the family's library writes
    std::string layer_list = "layers";  ///< what names of a layer's tensors begin with, below it
    std::optional<HeadLayout> heads{};
    RotaryLayout rotary{};
    QkNorm qk_norm = QkNorm::none;
    PositionSettings position{};

    std::vector<Layer> layers;
    std::vector<LayerSpec> specs{};  ///< one for each layer

    /// In the order in which they are written.
    std::vector<PlannedTensor> tensors{};
    /// True where `tensors` holds every tensor of the text model; else only those of its softmax
    /// attention.
    bool is_complete = false;
    /// Why a family that runs cannot run with this config.
    std::optional<Error> obstacle{};

    SoftmaxRules softmax{};
    std::vector<std::uint32_t> by_name{};  ///< into `tensors`, sorted by canonical name

    /// Null where there is none.
    const PlannedTensor* find(std::optional<LayerIndex> layer, std::string_view role) const;
    /// By canonical name; null where there is none.
    const PlannedTensor* find_named(std::string_view name) const;
};

/// What a config is read with.
struct BlueprintOptions {
    std::optional<std::string> family{};  ///< overrides what config.json says
    /// Kinds of layers that override those of the config.
    std::optional<std::vector<Layer>> layers{};
    std::uint32_t hidden_size = 0;      ///< where the config states none
    std::uint32_t vocabulary_size = 0;  ///< overrides the config; 0: as it says
};

/// Reads config.json.
/// Errors: `unsupported` for an unknown family (says how to write a routing map); `malformed` for a
/// config key of a wrong type and for heads that cannot be. What only running needs is no error:
/// it is the blueprint's `obstacle`.
Blueprint make_blueprint(const Json& config, const BlueprintOptions& options = {});

/// The families whose blueprints are complete, sorted: they run.
std::vector<std::string> families_that_run();

}  // namespace anamnesis::checkpoint
