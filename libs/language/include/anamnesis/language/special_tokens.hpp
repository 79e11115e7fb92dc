// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// The tokens that end a text, as they are stated, the usual one first: `eos_token_id` (a number or
/// a list) of generation_config.json, else of `config` or its text_config, else the eos_token of
/// tokenizer_config.json. Empty where none of them says.
///
/// Errors: `malformed` naming the file for ids that are no whole numbers below 2^31.
std::vector<TokenId> end_of_text_tokens(const std::filesystem::path& folder, const Json& config);

}  // namespace anamnesis::language
