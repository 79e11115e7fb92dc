// SPDX-License-Identifier: Apache-2.0
// Input: the text of a tekken.json.
#include <cstddef>
#include <cstdint>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "fuzz_target.hpp"
#include "tokenizer_checks.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const anamnesis::Json config = anamnesis::Json::parse(R"({})");
    anamnesis::fuzz::accept_value_or_refusal([&] {
        anamnesis::fuzz::check_tokenizer(anamnesis::language::Tokenizer::read_model(
            anamnesis::fuzz::to_text(data, size), config));
    });
    return 0;
}
