// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

/// What an adapter adds to one matrix: scale * B A, with A [rank, inputs] and B [outputs, rank].
/// For an embedding [tokens, hidden] it is the transpose, with A [rank, tokens], B [hidden, rank].
struct AdapterModule {
    std::string path;  ///< "model.layers.3.self_attn.q_proj"
    const TensorEntry* a = nullptr;
    const TensorEntry* b = nullptr;
    const TensorEntry* bias = nullptr;       ///< of B: scale * bias is added to the module's bias
    const TensorEntry* magnitude = nullptr;  ///< of DoRA, one value an output row
    bool is_embedding = false;

    /// Of the shape of A, which is there.
    std::uint64_t rank() const { return a->shape.front(); }
};

/// A tensor of the adapter that takes the place of one of the base, or of some of its rows.
struct SavedTensor {
    const TensorEntry* tensor = nullptr;
    std::string name;  ///< of the tensor in the base, as the adapter spells it: "lm_head.weight"
    /// The rows that it replaces, one for each of its own (trainable_token_indices); absent: all.
    std::optional<std::vector<std::uint64_t>> rows{};
    /// What PEFT saves of the base beside factors of an embedding or a head (`base_layer`): it
    /// changes nothing where the base is the one that it was trained over. A bias of a wrapped
    /// module, which has such a name too, is trained where the config's `bias` is not "none".
    bool is_base_copy = false;
};

/// A LoRA adapter as PEFT saves it, adapter_config.json and adapter_model.safetensors or the shards
/// of adapter_model.safetensors.index.json, or one GGUF file as llama.cpp's converter makes it.
struct Adapter {
    std::filesystem::path path;  ///< as given
    Checkpoint weights;
    AdapterConfig config{};
    std::vector<AdapterModule> modules{};  ///< by path; A or B may be missing
    std::vector<SavedTensor> saved{};
    std::vector<std::string> unknown{};  ///< tensors whose names say nothing

    const std::filesystem::path& folder() const& { return weights.folder(); }
    bool is_gguf() const { return weights.gguf() != nullptr; }
};

/// Whether `path` is an adapter and no checkpoint: a folder with files of an adapter and no
/// model.safetensors, or such a file, or a GGUF file that calls itself one.
bool is_adapter(const std::filesystem::path& path);

/// Reads names and shapes, no weight.
/// Errors: `not_found` for a missing file; `malformed` for a header or a config that breaks its
/// rules; `unsupported` for a pickle (adapter_model.bin).
Adapter open_adapter(const std::filesystem::path& path);

/// The base as the names of an adapter ask for it: for one of PEFT a GGUF file is the checkpoint
/// that it was made from. Errors: `view_for_running`'s.
RecognisedCheckpoint view_for_adapter(const Adapter& adapter, RecognisedCheckpoint base);

/// A module of an adapter and what it changes in the base.
struct MatchedModule {
    const AdapterModule* module = nullptr;
    const TensorEntry* weight = nullptr;
    const TensorEntry* bias = nullptr;  ///< of the base's module; null where it has none
    /// What the rows of the weight are; null outside softmax attention.
    const AttentionTensor* attention = nullptr;
    std::optional<LayerIndex> layer{};
    std::vector<LayerKind> kinds{};  ///< of the layer; empty outside layers
    double scale = 1.0;
};

struct MatchedSaved {
    const SavedTensor* saved = nullptr;
    const TensorEntry* base = nullptr;
};

/// An adapter held against a base. Both must outlive it.
struct AdapterMatch {
    const Adapter* adapter = nullptr;
    const RecognisedCheckpoint* base = nullptr;
    std::vector<MatchedModule> modules;  ///< in the order of the adapter's
    std::vector<MatchedSaved> saved;
    std::vector<std::string> unmatched;  ///< tensors that name nothing in the base
    /// Tensors of a GGUF adapter for something that the base has and that is not looked up here:
    /// what lies outside softmax attention, where the base is no GGUF file, and the embedding, of
    /// which A is stored transposed. No repair takes them.
    std::vector<const TensorEntry*> others;
    /// Tensors for a head of its own that the base does not have, whose head is the embedding. A
    /// repair leaves them as they are.
    std::vector<std::string> untied;
    std::vector<std::string> halves;    ///< tensors of a pair whose other half is missing
    std::vector<std::string> problems;  ///< shapes and ranks that do not fit, as sentences
    /// "model." and "backbone.": what the base calls otherwise; empty where the names agree.
    std::string adapter_prefix{};
    std::string base_prefix{};
    std::vector<Finding> findings;

    const MatchedModule* find(const TensorEntry& base_weight) const;
};

/// How names of the adapter are looked up in the base.
enum class PrefixRule : std::uint8_t {
    loaders,  ///< where a loader finds them
    any,      ///< also where a text-only base has no wrapper and the adapter's names do
};

/// Never refuses: what does not fit is listed.
AdapterMatch match_adapter(const Adapter& adapter,
                           const RecognisedCheckpoint& base,
                           PrefixRule rule = PrefixRule::loaders);

/// An adapter, its base, and the one held against the other. Stays where it is made: `match`
/// points into it.
struct AdapterPair {
    AdapterPair(Adapter of_adapter, RecognisedCheckpoint of_base, PrefixRule rule)
        : adapter(std::move(of_adapter)),
          base(std::move(of_base)),
          match(match_adapter(adapter, base, rule)) {}
    AdapterPair(const AdapterPair&) = delete;
    AdapterPair& operator=(const AdapterPair&) = delete;
    ~AdapterPair() = default;

    const Adapter adapter;
    const RecognisedCheckpoint base;
    const AdapterMatch match;
};

/// What is to be done with an adapter.
enum class AdapterUse : std::uint8_t {
    repair,
    run,    ///< with its base, in memory
    merge,  ///< into the files of its base
};

/// Errors: `unsupported` for an obstacle of its config (but for that of a residual base where
/// `takes_residual_base`); `mismatch`, with everything that does not fit.
void refuse_unfit(const AdapterMatch& match, AdapterUse use, bool takes_residual_base);

}  // namespace anamnesis::checkpoint
