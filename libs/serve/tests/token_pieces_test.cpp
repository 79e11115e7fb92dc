// SPDX-License-Identifier: Apache-2.0
#include "http/token_pieces.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/language/utf8.hpp"

#include "http/token_names.hpp"
#include "job.hpp"

namespace anamnesis::serve {
namespace {

namespace fs = std::filesystem;
using language::Tokenizer;

const fs::path testdata = fs::path(ANAMNESIS_TESTDATA) / "tokenizer";

std::string joined(const std::vector<std::string>& pieces) {
    std::string text;
    for (const std::string& piece : pieces) {
        text += piece;
    }
    return text;
}

std::size_t count_characters(std::string_view text) {
    std::size_t count = 0;
    for (const char c : text) {
        count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    }
    return count;
}

std::vector<fs::path> list_tokenizers() {
    std::vector<fs::path> folders{testdata / "tiny/qwen2"};
    for (const char* group : {"forms", "models"}) {
        for (const auto& entry : fs::directory_iterator(testdata / group)) {
            folders.push_back(entry.path());
        }
    }
    return folders;
}

TEST(TokenPieces, JoinToTheTextWhateverTheTokenizer) {
    std::size_t matched = 0;
    for (const fs::path& folder : list_tokenizers()) {
        SCOPED_TRACE(folder.string());
        const Tokenizer tokenizer = Tokenizer::open(folder);
        for (const std::string text : {" a needle",
                                       "Hello  world",
                                       "Hello",
                                       "na\u00efve caf\u00e9 \U0001F600 \u4e2d\u6587\nand on",
                                       "\U0001F600 first",
                                       "one<s>two</s> three",
                                       "ends in \U0001F600"}) {
            std::vector<TokenId> tokens;
            try {
                tokens = tokenizer.encode(text, {.adds_special = true});
            } catch (const Error&) {
                continue;  // a byte that has no token
            }
            if (const auto pieces = match_tokens(tokenizer, {}, tokens, text)) {
                ++matched;
                EXPECT_EQ(joined(*pieces), text);
            }
            const std::string decoded = tokenizer.decode(tokens);
            const std::vector<std::string> pieces = cut_text(tokenizer, {}, tokens, decoded);
            EXPECT_EQ(pieces.size(), tokens.size());
            EXPECT_EQ(joined(pieces), decoded);
            if (decoded.find(language::replacement_text) != std::string::npos) {
                continue;
            }
            TokenPieces reader(tokenizer);
            std::string streamed;
            for (const TokenId token : tokens) {
                streamed += reader.push(token);
            }
            EXPECT_EQ(streamed + reader.finish(), decoded);
        }
    }
    EXPECT_GT(matched, 40U) << "many tokenizers keep texts as they are";
}

TEST(TokenPieces, TheFirstSpaceIsLeftOutOfATextAndNotOfWhatGoesOn) {
    const Tokenizer tokenizer = Tokenizer::open(testdata / "models/sp_llama");
    const std::vector<TokenId> hello = tokenizer.encode("Hello", {.adds_special = true});
    const std::vector<TokenId> world = tokenizer.encode("world");
    const std::vector<std::string> alone = cut_text(tokenizer, {}, hello, "Hello");
    ASSERT_EQ(alone.size(), hello.size());
    EXPECT_EQ(alone.front(), "") << "what begins a text is not part of it";
    EXPECT_EQ(joined(alone), "Hello");
    EXPECT_EQ(joined(cut_text(tokenizer, {}, world, "world")), "world");
    EXPECT_EQ(joined(cut_text(tokenizer, hello, world, " world")), " world");
    TokenPieces reader(tokenizer, hello);
    std::string streamed;
    for (const TokenId token : world) {
        streamed += reader.push(token);
    }
    EXPECT_EQ(streamed, " world");
}

TEST(TokenPieces, ACharacterComesWithTheLastOfItsTokens) {
    for (const char* name : {"tiny/qwen2", "models/sp_llama"}) {
        SCOPED_TRACE(name);
        const Tokenizer tokenizer = Tokenizer::open(testdata / name);
        const std::string text = "x\u4e00\u9fa5y";
        const std::vector<TokenId> tokens = tokenizer.encode(text);
        ASSERT_GT(tokens.size(), 6U) << "the characters are no tokens of their own";
        const std::vector<std::string> pieces = cut_text(tokenizer, {}, tokens, text);
        EXPECT_EQ(joined(pieces), text);
        EXPECT_EQ(pieces[tokens.size() - 2], "\u9fa5");
        EXPECT_EQ(pieces.back(), "y");
        // A text that ends inside a character.
        const std::span<const TokenId> begun = std::span(tokens).first(tokens.size() - 2);
        const std::string decoded = tokenizer.decode(begun);
        EXPECT_EQ(joined(cut_text(tokenizer, {}, begun, decoded)), decoded);
    }
}

TEST(TokenPieces, EndWhereAStopStringEndsTheText) {
    const Tokenizer tokenizer = Tokenizer::open(testdata / "tiny/qwen2");
    const std::vector<TokenId> tokens = tokenizer.encode("one needle");
    for (const std::string text : {"one ", "one need", "o", ""}) {
        EXPECT_EQ(joined(cut_text(tokenizer, {}, tokens, text)), text);
    }
}

TEST(TokenPieces, AnotherTextIsNotTheirs) {
    const Tokenizer tokenizer = Tokenizer::open(testdata / "forms/nfkc_lower_words");
    const std::vector<TokenId> tokens = tokenizer.encode("the");
    EXPECT_FALSE(match_tokens(tokenizer, {}, tokens, "THE END"));
}

TEST(LogprobColumns, TellWhereEachTokenBeginsInTheText) {
    const Tokenizer tokenizer = Tokenizer::open(testdata / "models/sp_llama");
    const std::string text = "caf\u00e9 \u4e00 z";
    const std::vector<TokenId> tokens = tokenizer.encode(text, {.adds_special = true});
    const std::vector<std::string> pieces = cut_text(tokenizer, {}, tokens, text);
    std::vector<ScoredToken> scored;
    for (std::size_t i = 1; i < tokens.size(); ++i) {
        scored.push_back(
            {.token = tokens[i], .logprob = -1.0, .alternatives = {{tokens[i], -1.0}, {5, -2.0}}});
    }
    std::size_t offset = 0;
    const Json columns = make_logprob_columns(tokenizer, pieces, tokens.front(), scored, offset);
    EXPECT_EQ(offset, count_characters(text));
    const auto& names = columns.at("tokens").as_array("tokens");
    const auto& offsets = columns.at("text_offset").as_array("offsets");
    const auto& tops = columns.at("top_logprobs").as_array("top");
    ASSERT_EQ(names.size(), tokens.size());
    EXPECT_TRUE(columns.at("token_logprobs").as_array("scores")[0].is_null());
    std::string before;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string& name = names[i].as_string("name");
        EXPECT_EQ(offsets[i].as_unsigned("offset"), count_characters(before));
        EXPECT_EQ(name, pieces[i].empty() ? name_token(tokenizer, tokens[i]) : pieces[i]);
        before += pieces[i];
        if (i > 0) {
            EXPECT_NE(tops[i].find(name), nullptr) << "a token is among its own alternatives";
        }
    }
    EXPECT_EQ(before, text);
}

TEST(LogprobColumns, KeepAnotherTokenOfTheSamePiece) {
    const Tokenizer tokenizer = Tokenizer::open(testdata / "models/sp_llama");
    const TokenId own = tokenizer.encode("a").front();
    const auto other = tokenizer.find("a");
    ASSERT_TRUE(other.has_value());
    ASSERT_NE(own, *other) << "a word at the beginning of a text is another token";
    const std::vector<std::string> pieces{"a"};
    const std::vector<ScoredToken> scored{
        {.token = own, .logprob = -2.0, .alternatives = {{*other, -1.0}, {own, -2.0}}}};
    std::size_t offset = 0;
    const Json columns = make_logprob_columns(tokenizer, pieces, std::nullopt, scored, offset);
    const Json top = columns.at("top_logprobs").as_array("top")[0];
    EXPECT_EQ(top.at("a").as_double("logprob"), -1.0);
    EXPECT_EQ(top.at(" a").as_double("logprob"), -2.0);
}

}  // namespace
}  // namespace anamnesis::serve
