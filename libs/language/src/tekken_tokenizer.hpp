// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// Mistral's `tekken.json`: bytes by rank, after `default_num_special_tokens` ids of special
/// tokens. Those that the file does not name are "<SPECIAL_n>". `<s>` is put before a text and
/// `</s>` after it as `add_bos_token` (true where absent) and `add_eos_token` of `config` say.
///
/// Errors: `malformed` for counts, ranks or bytes that do not agree.
/// Source: mistral_common 1.13, tokens/tokenizers/tekken.py.
TokenizerFile read_tekken_tokenizer(std::string_view json, const Json& config);

}  // namespace anamnesis::language
