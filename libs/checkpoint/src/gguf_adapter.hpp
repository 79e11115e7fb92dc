// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

/// Whether the file is GGUF and calls itself an adapter.
bool is_gguf_adapter(const std::filesystem::path& path);

/// Reads an adapter of llama.cpp: pairs `blk.N.attn_q.weight.lora_a` and `.lora_b`.
/// Errors: `malformed` for a header or an alpha that breaks its rules.
Adapter open_gguf_adapter(const std::filesystem::path& path);

/// What a module of a GGUF adapter changes in a base.
struct GgufPlace {
    const TensorEntry* weight = nullptr;         ///< null where nothing was found
    const AttentionTensor* attention = nullptr;  ///< its rows, in softmax attention
    /// Nothing was found, and yet the base has it: under a name that is not looked up, or in a form
    /// to which nothing is added here.
    bool is_elsewhere = false;
};

/// What "blk.3.attn_q" is in the base: under the same name where that is GGUF too, else by layer
/// and by the roles of its rows, which finds softmax attention alone. Of other modules a base of
/// safetensors tells the number of its blocks.
/// Errors: `unsupported` where the converter puts rows into another order than the base has.
GgufPlace find_gguf_place(const RecognisedCheckpoint& base, const std::string& path);

}  // namespace anamnesis::checkpoint
