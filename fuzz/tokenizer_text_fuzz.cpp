// SPDX-License-Identifier: Apache-2.0
// Input: a text, and the same bytes as token ids.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/language/tokenizer.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using anamnesis::language::SpecialText;
    using anamnesis::language::SpecialTokens;
    static const auto tokenizer = anamnesis::language::Tokenizer::open(
        ANAMNESIS_TESTDATA "/tokenizer/tiny/qwen2/tokenizer.json");
    const std::string_view text = anamnesis::fuzz::to_text(data, size);
    const auto tokens = tokenizer.encode(text, SpecialText::plain);
    const std::string once = tokenizer.decode(tokens, SpecialTokens::keep);
    const std::string twice =
        tokenizer.decode(tokenizer.encode(once, SpecialText::plain), SpecialTokens::keep);
    anamnesis::fuzz::expect(once == twice, "decoding gives a text that encodes to itself");

    std::vector<anamnesis::language::TokenId> ids;
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        ids.push_back((data[i] + 256 * data[i + 1]) % 430);
    }
    anamnesis::language::StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const auto id : ids) {
        streamed += stream.push(id);
    }
    streamed += stream.finish();
    anamnesis::fuzz::expect(streamed == tokenizer.decode(ids), "a stream gives the same text");
    return 0;
}
