// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/base/json.hpp"

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// A SentencePiece model (`tokenizer.model`) of the kind BPE or Unigram, with what
/// tokenizer_config.json says of it.
///
/// Texts are cut as the package `sentencepiece` cuts them. Control pieces are found in a text, as
/// transformers has it, unless special text is read plainly. Each stretch between added tokens gets
/// the dummy prefix of the model (`legacy` of LlamaTokenizer); where tokenizer_config.json has
/// `"legacy": false`, only the beginning of the text does. BOS and EOS are those of the model; they
/// are put around a text as `add_bos_token` (true where absent) and `add_eos_token` say.
///
/// Errors: those of `parse_sentence_piece_file` and `CharacterMap`.
TokenizerFile read_sentence_piece_tokenizer(std::string_view bytes, const Json& config);

}  // namespace anamnesis::language
