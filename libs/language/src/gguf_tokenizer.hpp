// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// The tokenizer that a GGUF file holds: byte-level BPE ("gpt2") of the pre-tokenizers that are
/// known by name, and SentencePiece's BPE ("llama"). Errors: `not_found` where it holds none;
/// `unsupported` for another kind or an unknown pre-tokenizer, by name; `malformed`. Source:
/// llama.cpp 0c1e57098, llama-vocab.cpp.
TokenizerFile read_gguf_tokenizer(const std::filesystem::path& path);

/// `chat_template`, `bos_token` and `eos_token` of a GGUF file, as tokenizer_config.json has them.
Json read_gguf_tokenizer_config(const std::filesystem::path& path);

}  // namespace anamnesis::language
