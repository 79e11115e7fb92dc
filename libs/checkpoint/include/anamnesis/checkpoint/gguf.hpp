// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::checkpoint {

/// How the layers with softmax attention are told from the metadata.
enum class GgufLayers : std::uint8_t {
    all,          ///< every layer, some of them over a window
    by_kv_heads,  ///< those with key-value heads: `attention.head_count_kv` is a list
    by_interval,  ///< `attention.recurrent_layers`, else every `full_attention_interval`th
    parallel,     ///< every layer, beside a recurrent mixer
};

/// An architecture of llama.cpp: which layers attend, and how its files differ from the family's
/// own checkpoints. Source: llama.cpp 0c1e57098, convert_hf_to_gguf and the loaders of src/models.
struct GgufArchitecture {
    std::string_view name;  ///< `general.architecture`
    /// Families whose checkpoints the converter makes such files of; the first stands for all.
    std::vector<std::string_view> families;
    GgufLayers layers = GgufLayers::all;
    /// What the other layers are, where some have no softmax attention.
    LayerKind other = LayerKind::linear;
    /// Every so many layers one attends over the whole context, where the file has a window and no
    /// pattern of it; 0: none.
    std::uint32_t sliding_period = 1;
    RotaryLayout::Pairs pairs = RotaryLayout::Pairs::half_split;
    /// Rows of W_Q and W_K are stored with the halves of each head interleaved.
    bool interleaves_rows = false;
    bool has_query_gates = false;  ///< attn_q: the query rows of a head, then its gate rows
    bool has_latent_keys = false;  ///< MLA
    bool adds_one_to_gains = false;
    bool has_multipliers = false;  ///< W_Q and W_K are stored times multipliers of the config
    /// Linear layers have tensors with the names of softmax attention.
    bool mixers_share_names = false;
    std::string_view evidence = "read from source";
};

/// Null for an architecture that nothing here knows.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
std::vector<std::string> known_gguf_architectures();

/// config.json as the family's own checkpoints have it, from metadata and tensors; what a file does
/// not say (dropout, dtypes) is left out.
/// Errors: `malformed` for keys of a wrong type or beyond every limit.
Json make_gguf_config(const formats::GgufFile& file);

/// The name that a file has for an outer or a plain tensor of a layer, from the canonical name of
/// the family's own checkpoints: "layers.3.self_attn.o_proj.weight" gives
/// "blk.3.attn_output.weight". Nothing where the tensor is stored in another form.
std::optional<std::string> find_gguf_name(std::string_view canonical);

/// A 16-bit type that values pass through on their way into a quantised file, as they do where a
/// file was quantised from a 16-bit one.
enum class GgufVia : std::uint8_t { none, bf16, f16 };
inline constexpr std::array<Word<GgufVia>, 3> gguf_via_words{{
    {GgufVia::none, "none"},
    {GgufVia::bf16, "bf16"},
    {GgufVia::f16, "f16"},
}};

/// The config of a GGUF file with what running it needs beside: `eos_token_id`, tied embeddings.
Json make_running_config(const Checkpoint& file);

/// A GGUF file as the checkpoint of the family's own library that it was made from: names, shapes
/// and order of rows; quantised tensors are float32, computed as they are read, others as they are.
/// Its config says `eos_token_id` too. Errors: `unsupported` for an architecture that does not run
/// from GGUF, and for types whose values need a codebook; those of `recognise`.
RecognisedCheckpoint view_for_running(const Checkpoint& file);

/// A checkpoint of safetensors as the GGUF file `post` would have it: its tensors have post's
/// names, shapes and order of rows, in float32, computed as they are read: permuted within heads,
/// multiplied, gains plus one, key rows of MLA transposed.
/// Errors: `mismatch`, all at once, for another family, other layers or heads; `unsupported` for
/// weights that hold no plain values.
RecognisedCheckpoint view_as_gguf(const RecognisedCheckpoint& source,
                                  const RecognisedCheckpoint& post,
                                  GgufVia via = GgufVia::none);

}  // namespace anamnesis::checkpoint
