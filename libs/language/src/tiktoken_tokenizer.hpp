// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// Whether a file's first line is a token in base64 and a rank.
bool is_tiktoken_file(std::string_view bytes);

/// A vocabulary of tiktoken's (`tiktoken.model`, `qwen.tiktoken`, Llama 3's `tokenizer.model`): a
/// line "<base64> <rank>" each. Such a file says neither how text is cut nor which tokens are
/// special; both are known by the family that `tokenizer_class`, `auto_map` and `model_type` of
/// `config` name: Kimi, Qwen (the first) and Llama 3. The names of special tokens are those of
/// `added_tokens_decoder`; Kimi's 256 and Qwen's 208 are known without it.
///
/// Errors: `unsupported` for another family, saying what to do; `malformed`, naming the line.
/// Source: tokenization_kimi.py and tokenization_qwen.py of the models; transformers 5.24,
/// TikTokenConverter.
TokenizerFile read_tiktoken_tokenizer(std::string_view bytes, const Json& config);

}  // namespace anamnesis::language
