// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "anamnesis/language/tokenizer.hpp"

#include "fuzz_target.hpp"

namespace anamnesis::fuzz {

/// What must hold of any tokenizer that was read.
inline void check_tokenizer(const language::Tokenizer& tokenizer) {
    using language::SpecialText;
    const std::string text =
        "It's 12 \n\n<|im_start|> na\xC3\xAFve  \xE4\xB8\xAD\xEF\xAC\x81 a\xCC\x81"
        "\xE2\x96\x81 ab<s>abab\xFF";
    for (const auto treatment : {SpecialText::recognise, SpecialText::plain}) {
        const auto tokens = tokenizer.encode(text, treatment);
        for (const auto token : tokens) {
            expect(token >= 0 && static_cast<std::size_t>(token) < tokenizer.vocabulary_size(),
                   "a token is in the vocabulary");
        }
        language::StreamDecoder stream(tokenizer);
        std::string streamed;
        for (const auto token : tokens) {
            streamed += stream.push(token);
        }
        streamed += stream.finish();
        expect(streamed == tokenizer.decode(tokens), "a stream gives the same text");
    }
}

}  // namespace anamnesis::fuzz
