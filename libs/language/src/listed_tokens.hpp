// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/language_model.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// Takes one entry of `added_tokens`, an object with `content` and flags.
/// Errors: `malformed` for a token that is there with another id.
void add_token(TokenizerFile& file, const Json& entry, std::uint64_t id);

/// Takes `added_tokens_decoder`. Errors: `malformed`.
void add_listed_tokens(TokenizerFile& file, const Json& config);

/// Takes tokens of a config that a tokenizer.json beside it does not list as added: those of
/// `added_tokens_decoder`, and special ones by their names. One that is in the vocabulary keeps its
/// id, whatever the config says; others follow the last one, as in transformers.
/// Errors: `malformed`.
void add_configured_tokens(TokenizerFile& file, const Json& config);

/// The id of "bos_token", say, of a config; nothing where there is none.
/// Errors: `malformed` for one that is not in the vocabulary.
std::optional<TokenId> find_named_token(const TokenizerFile& file,
                                        const Json& config,
                                        std::string_view name);

/// tokenizer_config.json of a folder, an empty object where there is none. Where it lists no added
/// tokens, those of added_tokens.json are put into its `added_tokens_decoder`; where it names no
/// `model_type`, that of config.json.
Json read_tokenizer_config(const std::filesystem::path& folder);

}  // namespace anamnesis::language
