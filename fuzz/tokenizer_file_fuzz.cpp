// SPDX-License-Identifier: Apache-2.0
// Input: the text of a tokenizer.json.
#include <cstddef>
#include <cstdint>

#include "anamnesis/language/tokenizer.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto tokenizer =
            anamnesis::language::Tokenizer::read(anamnesis::fuzz::to_text(data, size));
        const auto tokens = tokenizer.encode("It's 12 \n\n<|im_start|> na\xC3\xAFve \xE4\xB8\xAD");
        for (const auto token : tokens) {
            anamnesis::fuzz::expect(
                token >= 0 && static_cast<std::size_t>(token) < tokenizer.vocabulary_size(),
                "a token is in the vocabulary");
        }
        static_cast<void>(tokenizer.decode(tokens));
    });
    return 0;
}
