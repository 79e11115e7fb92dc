// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {

/// What mixes the tokens of a layer. Parallel or stacked mixers give a layer two kinds.
enum class LayerKind : std::uint8_t {
    full,     ///< softmax attention over the whole context
    sliding,  ///< softmax attention over a window
    mla,      ///< softmax attention with latent keys and values (DeepSeek V2)
    linear,   ///< linear attention, state space or other recurrent mixer
    conv,     ///< short convolution
    mlp,      ///< no mixer
};
std::string_view to_string(LayerKind kind) noexcept;

/// What a row of an attention tensor makes.
enum class RowRole : std::uint8_t {
    query,
    key,
    value,
    gate,    ///< output gate: acts after the softmax
    latent,  ///< feeds keys and values alike (MLA)
};
std::string_view to_string(RowRole role) noexcept;

/// Rows [begin, end) of a tensor, counted in output rows.
struct RowRange {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t size() const { return end - begin; }
    friend bool operator==(const RowRange&, const RowRange&) = default;
};

/// Rows of one role, and of one head where they belong to a single head.
struct RowBlock {
    RowRole role = RowRole::query;
    std::optional<std::uint32_t>
        head{};  ///< query head for query and gate, key-value head for key and value
    RowRange rows{};
};

/// What kind of tensor holds the rows.
enum class AttentionGroup : std::uint8_t {
    weight,
    bias,
    norm,     ///< gains of QK-norm, q_a_layernorm, kv_a_layernorm: left alone unless asked for
    adapter,  ///< low-rank additions of shared blocks (Zamba2): left alone unless asked for
};
std::string_view to_string(AttentionGroup group) noexcept;

/// One stored tensor of a softmax layer whose rows make queries, keys, values, gates or latents.
/// Scale tensors of quantised weights are not listed: they follow the rows of their weight
/// (`find_scale`).
struct AttentionTensor {
    std::string name;
    /// The name that pairs it with another checkpoint of the family whatever the prefix:
    /// "layers.3.self_attn.q_proj.weight".
    std::string canonical_name;
    std::optional<LayerIndex> layer{};  ///< absent for a draft head
    LayerKind kind = LayerKind::full;
    AttentionGroup group = AttentionGroup::weight;
    bool is_draft_head = false;  ///< `mtp.*`: left alone unless asked for
    std::uint64_t rows = 0;
    std::vector<RowBlock> blocks;       ///< ascending; cover every row once
    std::vector<LayerIndex> shared_by;  ///< layers that use this stored tensor; empty: its own only
};

/// How rotary position encoding pairs the rows of a head.
struct RotaryLayout {
    enum class Pairs : std::uint8_t { none, half_split, interleaved };
    Pairs pairs = Pairs::none;
    std::uint32_t dimensions = 0;  ///< rotated rows
    std::uint32_t offset = 0;      ///< first rotated row within the head (MLA: after the nope part)
    friend bool operator==(const RotaryLayout&, const RotaryLayout&) = default;
};

enum class QkNorm : std::uint8_t {
    none,
    per_head,        ///< one gain of head_dim for all heads
    per_head_plus1,  ///< the same, stored as gain - 1 (Qwen3-Next, Qwen3.5, Gemma)
    full_width,      ///< before the head split (OLMo): heads are not independent
};

struct Layer {
    LayerIndex index{};
    std::vector<LayerKind> kinds;
    bool is_softmax() const;
};

/// The kinds of damage an ablation can look for (`restore --groups`).
enum class TensorGroup : std::uint8_t {
    q,
    k,
    v,
    o,
    gate,
    latent,
    mlp,
    mixer,
    norms,
    embedding,
    head,
    other,
};
std::string_view to_string(TensorGroup group) noexcept;
std::optional<TensorGroup> find_tensor_group(std::string_view name) noexcept;

/// Position settings that must agree for a restored row to mean the same thing.
struct PositionSettings {
    std::optional<double> rope_theta{};
    /// As config.json has it, less theta, defaults and multimodal sections; keys sorted, so that
    /// both spellings of transformers compare equal.
    Json rope_scaling;
    /// What `rope_scaling` means: the keys that its type reads, with defaults filled in and numbers
    /// as numbers. Two settings that turn positions alike are equal here.
    Json rope_meaning{};
    std::optional<double> partial_rotary_factor{};
    bool uses_rope = true;
    std::optional<double> attention_scale{};  ///< where the family names one
};

struct Blueprint;

/// A recognised checkpoint: the family, its layers, and which rows are what.
struct Model {
    std::string family;      ///< "qwen3_next", "hypenet"…; a routing file's own name
    std::string model_type;  ///< as config.json says; may be empty
    /// "verified" (code that ran), "read from source", "from memory, confirmed by the shapes" or
    /// "stated by a routing file".
    std::string evidence;
    std::uint64_t hidden_size = 0;      ///< 0 where unknown
    std::uint64_t vocab_size = 0;       ///< 0 where unknown
    std::optional<HeadLayout> heads{};  ///< of the softmax layers; absent where nothing tells
    RotaryLayout rotary{};
    QkNorm qk_norm = QkNorm::none;
    PositionSettings position;
    bool is_head_tied = false;
    std::vector<Layer> layers;
    std::vector<AttentionTensor> attention;  ///< by layer, then q, k, v, norms
    /// Tensors that the family's plan misses or has no use for, odd config, weights without scale.
    std::vector<Finding> findings{};
    /// What the config says that the model is (blueprint.hpp); set by `recognise`.
    std::shared_ptr<const Blueprint> blueprint{};

    std::vector<LayerIndex> find_layers(LayerKind kind) const;
    const AttentionTensor* find_attention(std::string_view tensor_name) const;
};

/// What to do about declared softmax layers whose tensors are missing (a lost shard).
enum class Missing : std::uint8_t { refuse, warn };

struct RecogniseOptions {
    std::optional<std::string> family{};             ///< overrides what config.json says
    std::optional<std::filesystem::path> routing{};  ///< a routing map for a family of your own
    Missing missing = Missing::refuse;
};

/// Tells the family of a checkpoint from its config and checks it against the names and shapes of
/// every attention tensor.
/// Errors: `unsupported` for an unknown family (says how to write a routing map) and for a patch of
/// `restore` or an adapter in the place of a checkpoint, `mismatch` where names or shapes
/// contradict the config (all contradictions at once), `malformed` for a config key of a wrong
/// type.
Model recognise(const Checkpoint& checkpoint, const RecogniseOptions& options = {});

/// Errors: `unsupported` for a patch of `restore` and for an adapter, each with what to do with it.
void refuse_other_files(const Checkpoint& checkpoint);

/// A checkpoint and what was recognised in it.
struct RecognisedCheckpoint {
    Checkpoint checkpoint;
    Model model;

    /// All that was found when it was opened: files and names first, then tensors and config.
    std::vector<Finding> findings() const;
};

/// Errors: those of `Checkpoint::open` and `recognise`.
RecognisedCheckpoint open_recognised(const std::filesystem::path& path,
                                     const OpenOptions& opening = {},
                                     const RecogniseOptions& recognising = {});

/// The kinds of every layer that a config describes, without any weights.
std::vector<Layer> layers_of_config(const Json& config);

/// The families that `recognise` knows, sorted.
std::vector<std::string> known_families();

/// The group of a tensor as a whole; q_proj and other attention tensors whose rows differ in role
/// give nothing: ask their blocks.
std::optional<TensorGroup> classify_tensor(const Model& model, std::string_view tensor_name);

/// The layer that a tensor belongs to, by its name; nothing for embeddings, heads, towers.
std::optional<LayerIndex> find_layer(std::string_view tensor_name);

/// A tensor's name without what differs between wrappers: "model.language_model.layers.3.x" and
/// "model.layers.3.x" give "layers.3.x".
std::string canonical_name(std::string_view tensor_name);

/// A tensor's name as loaders look for it: without what wrappers of training code
/// (`_orig_mod.`, `module.`, `base_model.model.`…) put into it, and with no prefix nested into
/// itself. Most names are their own.
std::string clean_name(std::string_view tensor_name);

/// The tensor that scales blocks of a quantised weight (`…_scale_inv`, `…_scale`), if any, and how
/// many rows of the weight share one of its rows.
struct ScaleTensor {
    const TensorEntry* tensor = nullptr;
    std::uint64_t rows_per_block = 0;
    /// Columns that share one of its columns; those of the whole row where it has none.
    std::uint64_t columns_per_block = 0;
    /// What its values are read as: its own type, or `f8_e8m0` where U8 holds the exponents of
    /// blocks (MXFP8). Absent where its type holds no values of scales, and where `is_ambiguous`.
    std::optional<DType> value_type{};
    /// [1, n] of an n by n matrix, of which the config says nothing: of columns or of rows.
    bool is_ambiguous = false;
};
/// Errors: `mismatch` for a scale whose shape fits no block size, and for a weight with two scales.
std::optional<ScaleTensor> find_scale(const Checkpoint& checkpoint, std::string_view weight_name);

/// Why the values of a scale cannot be read, as a sentence with its type, its shape, what can be
/// read and what to do; empty where they can. Bytes can be copied with their scales all the same.
std::string describe_unreadable(const ScaleTensor& scale);

/// The weight that a tensor scales, by the scale's name; nothing for other tensors.
std::optional<std::string> find_scaled_weight(std::string_view tensor_name);

/// True for a type whose values mean nothing without a scale: the 8-bit floats.
constexpr bool is_scaled(DType dtype) {
    return dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2 || dtype == DType::f8_e4m3fnuz ||
           dtype == DType::f8_e5m2fnuz;
}

}  // namespace anamnesis::checkpoint
