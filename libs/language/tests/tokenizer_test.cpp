// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/tokenizer.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utf8proc.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/language/utf8.hpp"

#include "byte_pair_merge.hpp"
#include "normalisation.hpp"
#include "pre_tokenizer.hpp"

namespace anamnesis::language {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path tiny_file =
    std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2/tokenizer.json";

std::string tiny_text() {
    std::ifstream file(tiny_file);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Known to PCRE2's version of Unicode, which may be older than the other library's.
bool is_assigned(char32_t code) {
    static const Expression unassigned(R"(\p{Cn})");
    std::string text;
    append_utf8(text, code);
    text += 'y';
    std::size_t pieces = 0;
    unassigned.match(text, [&](std::string_view, bool) { ++pieces; });
    return pieces == 1;
}

/// Random characters, half of them from the places where the expressions decide.
std::string random_text(Random& random, std::size_t length) {
    static const std::u32string edges =
        U" \n\r\t'sStTmMdDlLrReEvVaZ019.,!\u00A0\u0085\u2003\u3000\u180E\u200B\u017F\u0301\u0316"
        U"\u0902\u00E9\u4E2D\uAC00\u1100\u1161\u00BD\u2160\u0660\U0001F600\u0958\u2126";
    std::string text;
    for (std::size_t i = 0; i < length; ++i) {
        char32_t code = edges[random.below(edges.size())];
        if (random.below(3) == 0) {
            code = static_cast<char32_t>(random.below(random.below(2) == 0 ? 0x3000 : 0x110000));
            code = code >= 0xD800 && code < 0xE000 ? U'x' : code;
            code = is_assigned(code) ? code : U'y';
        }
        append_utf8(text, code);
    }
    return text;
}

std::vector<std::string> split_pieces(const Splitter& splitter, const std::string& text) {
    std::vector<std::string> pieces;
    splitter.split({.text = text}, [&](std::string_view piece) { pieces.emplace_back(piece); });
    return pieces;
}

TEST(PreTokenizer, HandWrittenSplittersEqualTheirExpressions) {
    for (const std::string_view pattern :
         {patterns::gpt2, patterns::qwen2, patterns::qwen3_5, patterns::llama3}) {
        const auto known = make_known_splitter(pattern);
        const auto compiled = make_pattern_splitter({.pattern = std::string(pattern)});
        ASSERT_NE(known, nullptr);
        Random random(7);
        for (int round = 0; round < 4000; ++round) {
            const std::string text = random_text(random, 1 + random.below(40));
            ASSERT_EQ(split_pieces(*known, text), split_pieces(*compiled, text)) << pattern;
        }
    }
}

TEST(PreTokenizer, RefusesAnExpressionItDoesNotUnderstand) {
    EXPECT_THROW(static_cast<void>(make_pattern_splitter({.pattern = "("})), Error);
}

TEST(BytePairMerges, EqualsItsSlowTwin) {
    Random random(5);
    for (int round = 0; round < 300; ++round) {
        BytePairMerges merges;
        for (std::uint32_t rank = 0; rank < 60; ++rank) {
            merges.set(static_cast<TokenId>(random.below(12)),
                       static_cast<TokenId>(random.below(12)),
                       rank,
                       static_cast<TokenId>(random.below(12)));
        }
        std::vector<TokenId> symbols(1 + random.below(150));
        for (TokenId& symbol : symbols) {
            symbol = static_cast<TokenId>(random.below(12));
        }
        std::vector<TokenId> slow = symbols;
        merges.apply(symbols);
        merges.naive_apply(slow);
        EXPECT_EQ(symbols, slow);
    }
}

TEST(Normalisation, EqualsTheLibraryOnRandomText) {
    Random random(9);
    for (int round = 0; round < 3000; ++round) {
        const std::string text = random_text(random, 1 + random.below(30));
        std::string composed;
        append_nfc(composed, text);
        utf8proc_uint8_t* whole = nullptr;
        const utf8proc_ssize_t length =
            utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                         static_cast<utf8proc_ssize_t>(text.size()),
                         &whole,
                         static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        ASSERT_GE(length, 0);
        EXPECT_EQ(
            composed,
            std::string(reinterpret_cast<const char*>(whole), static_cast<std::size_t>(length)));
        std::free(whole);  // NOLINT(cppcoreguidelines-no-malloc): the library's own allocation
    }
}

TEST(Tokenizer, DecodesWhatItEncodes) {
    const Tokenizer tokenizer = Tokenizer::open(tiny_file);
    Random random(11);
    for (int round = 0; round < 1000; ++round) {
        std::string bytes;
        for (std::uint64_t i = random.below(60); i > 0; --i) {
            bytes.push_back(static_cast<char>(random.below(256)));
        }
        std::string expected;
        append_nfc(expected, replace_ill_formed(bytes));
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes), SpecialTokens::keep), expected);
    }
}

TEST(Tokenizer, ReadsEachIllFormedPartAsOneReplacement) {
    EXPECT_EQ(replace_ill_formed("a\xF0\x9F\x98z"), "a\xEF\xBF\xBDz");
    EXPECT_EQ(replace_ill_formed("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(replace_ill_formed("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Tokenizer, EncodesAMegabyteOfAnything) {
    const Tokenizer tokenizer = Tokenizer::open(tiny_file);
    for (const std::string unit :
         {"a", " ", "1", "\n", "a ", "\xCC\x81", "\xCC\x81\xCC\x96", "'", "<|im_start"}) {
        std::string text;
        while (text.size() < (1U << 20U)) {
            text += unit;
        }
        std::string expected;
        append_nfc(expected, text);
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), expected) << unit;
    }
}

// As tokenizers 0.23.3 decodes: of é in the normalised form the byte that it spells is read, E9.
TEST(Tokenizer, OfBytesDecodesANormalisedTokenInItsNormalisedForm) {
    const Tokenizer tokenizer = Tokenizer::read(R"({
        "added_tokens": [{"id": 2, "content": "HELLO", "special": false, "normalized": true},
                         {"id": 3, "content": "RE\u0301", "special": false, "normalized": true},
                         {"id": 4, "content": "<X>", "special": false, "normalized": false}],
        "normalizer": {"type": "Sequence",
                       "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
    const std::vector<TokenId> expected{0, 2, 1, 4};
    EXPECT_EQ(tokenizer.encode("aHELLOb<X>"), expected);
    EXPECT_EQ(tokenizer.decode(expected), "ahellob<X>");
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{3}), "r\uFFFD");
}

void expect_refusal(std::string text,
                    const std::string& from,
                    const std::string& to,
                    ErrorKind kind,
                    const std::string& fact) {
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    try {
        static_cast<void>(Tokenizer::read(text, "some/tokenizer.json"));
        ADD_FAILURE() << to << " was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(fact));
        EXPECT_THAT(error.what(), HasSubstr("some/tokenizer.json"));
    }
}

TEST(Tokenizer, OfWholeWordsCutsAtWhiteSpaceAndJoinsWithSpaces) {
    const std::string json = R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<unk>",
                  "vocab": {"<unk>": 0, "the": 1, "dog": 2, ".": 3, "\u00e9t\u00e9": 4}}})";
    const Tokenizer tokenizer = Tokenizer::read(json);
    EXPECT_EQ(tokenizer.unknown_token(), 0);
    const std::vector<TokenId> expected{1, 2, 0, 4, 3};
    EXPECT_EQ(tokenizer.encode("the dog\tbarks\u3000\u00e9t\u00e9\n ."), expected);
    EXPECT_EQ(tokenizer.decode(expected), "the dog \u00e9t\u00e9 .");
    EXPECT_EQ(tokenizer.decode(expected, SpecialTokens::keep), "the dog <unk> \u00e9t\u00e9 .");
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const TokenId token : expected) {
        text += stream.push(token);
    }
    EXPECT_EQ(text + stream.finish(), "the dog \u00e9t\u00e9 .");
    std::string other = json;
    other.replace(other.find("\"unk_token\": \"<unk>\""), 20, "\"unk_token\": \"<non>\"");
    EXPECT_THROW(Tokenizer::read(other), Error);
    std::string split = json;
    split.replace(split.find("WhitespaceSplit"), 15, "BertPreTokenizer");
    EXPECT_THROW(Tokenizer::read(split), Error);
}

TEST(Tokenizer, KeepsTheSpacesThatATokenIsWrittenWith) {
    const Tokenizer tokenizer = Tokenizer::read(
        R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true},
                             {"id": 3, "content": "New York"}],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"},
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"},
        "model": {"type": "WordLevel", "unk_token": "<unk>",
                  "vocab": {"<unk>": 0, "\u2581the": 1, "\u2581dog": 2}}})");
    // As tokenizers 0.23 decodes.
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{3, 2}), "New York dog");
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{1, 2}), "the dog");
}

TEST(Tokenizer, RefusesOtherKindsByName) {
    // One line, so that what is replaced does not depend on how the file is indented.
    const std::string text = Json::parse(tiny_text()).dump();
    expect_refusal(text, R"("BPE")", R"("WordPiece")", ErrorKind::unsupported, "WordPiece");
    expect_refusal(text, R"("NFC")", R"("Precompiled")", ErrorKind::unsupported, "Precompiled");
    expect_refusal(text, R"("Isolated")", R"("Scattered")", ErrorKind::unsupported, "Scattered");
    expect_refusal(text,
                   R"("TemplateProcessing")",
                   R"("OtherProcessing")",
                   ErrorKind::unsupported,
                   "OtherProcessing");
    expect_refusal(R"({"pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
                       "model": {"type": "other", "unk_token": "a", "vocab": {"a": 0}}})",
                   "other",
                   "WordLevel",
                   ErrorKind::unsupported,
                   "ByteLevel before a model of type");
}

TEST(Tokenizer, RefusesBrokenVocabulariesAndMerges) {
    const std::string text = Json::parse(tiny_text()).dump();
    expect_refusal(text, R"("!":0)", R"("!":1)", ErrorKind::malformed, "id 1");
    expect_refusal(text, R"("!":0)", R"("!":99999999)", ErrorKind::malformed, "99999999");
    expect_refusal(text, R"("!":0)", R"("!":-1)", ErrorKind::malformed, "'!'");
    expect_refusal(
        text, R"("merges":[[)", R"("merges":[["nowhere","a"],[)", ErrorKind::malformed, "nowhere");
    expect_refusal(text, R"("merges":[[)", R"("merges":[["a"],[)", ErrorKind::malformed, "merge");
}

}  // namespace
}  // namespace anamnesis::language
