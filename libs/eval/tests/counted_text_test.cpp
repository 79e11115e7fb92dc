// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/counted_text.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

const std::filesystem::path tokenizers =
    std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny";

/// Words, punctuation and every kind of white space, where cuts are and are not allowed.
std::string random_text(Random& random, std::size_t pieces) {
    const std::vector<std::string> words{"the",
                                         "Quick",
                                         "it's",
                                         "12345",
                                         "...",
                                         "--",
                                         "fox.",
                                         "\xC3\xA9t\xC3\xA9",
                                         "e\xCC\x81",
                                         "\xE4\xB8\xAD",
                                         ",",
                                         "don't"};
    const std::vector<std::string> spaces{
        " ", " ", " ", " ", "  ", "\n", " \n", "\xC2\xA0", "\t", ""};
    std::string text;
    for (std::size_t i = 0; i < pieces; ++i) {
        text += words[random.below(words.size())] + spaces[random.below(spaces.size())];
    }
    return text;
}

TEST(CountedText, CountsPartsAsTheWholeIsCounted) {
    for (const char* name : {"qwen2", "qwen3_5"}) {
        SCOPED_TRACE(name);
        const auto tokenizer = language::Tokenizer::open(tokenizers / name);
        ASSERT_TRUE(tokenizer.cuts_before_spaces());
        const TokenCounter counter{
            .count = [&](std::string_view text) { return tokenizer.encode(text).size(); },
            .cuts_before_spaces = true};
        Random random(7);
        for (int round = 0; round < 200; ++round) {
            const CountedText whole(random_text(random, 60), counter);
            std::vector<std::string> own;
            for (int i = 0; i < 4; ++i) {
                own.push_back(random_text(random, random.below(3)));
            }
            std::vector<PromptPart> parts;
            std::string together;
            for (const std::string& text : own) {
                const std::size_t begin = random.below(whole.text().size());
                const std::size_t size = random.below(whole.text().size() - begin + 1);
                parts.push_back({.text = text});
                parts.push_back({.text = whole.text().substr(begin, size), .whole = &whole});
                together += text + std::string(parts.back().text);
            }
            // A range may begin inside a character; such bytes read as U+FFFD either way.
            ASSERT_EQ(count_tokens(parts, counter), tokenizer.encode(together).size())
                << round << " " << together;
        }
    }
}

TEST(CountedText, CountsWholeWhereCutsAreNotKnown) {
    std::size_t calls = 0;
    const TokenCounter counter{.count =
                                   [&](std::string_view text) {
                                       ++calls;
                                       return text.size();
                                   },
                               .cuts_before_spaces = false};
    const CountedText whole("one two three four", counter);
    EXPECT_EQ(calls, 0U);
    const std::vector<PromptPart> parts{{.text = whole.text(), .whole = &whole}, {.text = " five"}};
    EXPECT_EQ(count_tokens(parts, counter), 23U);
    EXPECT_EQ(calls, 1U);
}

}  // namespace
}  // namespace anamnesis::eval
