// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

// Sections of tokenizer.json that say how text becomes pieces and back. Each fills in its part of
// the file. Errors: `unsupported` for a step that is not implemented, named; `malformed`.

void read_normaliser(TokenizerFile& file, const Json& value);
void read_pre_tokenizer(TokenizerFile& file, const Json& value);
void read_decoder(TokenizerFile& file, const Json& value);
void read_post_processor(TokenizerFile& file, const Json& value);

}  // namespace anamnesis::language
