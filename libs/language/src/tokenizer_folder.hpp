// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// The file by which `Tokenizer::open` opens a folder (or the file itself): the first there is of
/// tokenizer.json, vocab.json with merges.txt, tekken.json, tokenizer.model, tiktoken.model,
/// qwen.tiktoken.
std::optional<std::filesystem::path> find_tokenizer_file(const std::filesystem::path& place);

/// Errors: those of `Tokenizer::open`.
TokenizerFile open_tokenizer_file(const std::filesystem::path& place);

/// A tokenizer.model, tiktoken.model or tekken.json, told apart by what is in it.
/// Errors: those of their readers.
TokenizerFile parse_model_file(std::string_view bytes, const Json& config);

}  // namespace anamnesis::language
