// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"

namespace anamnesis::language {

/// The special tokens that have a name, as a chat template sees them: bos_token and the like, and
/// those that are the model's own. `map` is special_tokens_map.json, or an empty object.
/// Errors: `malformed` where a name stands for no token.
/// Source: transformers 5.24, tokenization_utils_base.py, `_from_pretrained` and `__init__`.
Json read_named_tokens(const Json& config, const Json& map);

}  // namespace anamnesis::language
