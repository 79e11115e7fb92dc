// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {
namespace {

const std::filesystem::path testdata = std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer";
const std::filesystem::path shared = std::filesystem::path(ANAMNESIS_SHARED) / "data";
const std::filesystem::path large = shared / "tokenizers" / "qwen2.5";
const std::filesystem::path goldens = shared / "golden" / "tokenizer";

std::size_t for_each_line(const std::filesystem::path& path,
                          const std::function<void(const Json&)>& body) {
    std::ifstream file(path);
    std::string line;
    std::size_t count = 0;
    while (std::getline(file, line)) {
        SCOPED_TRACE(path.filename().string() + ", line " + std::to_string(++count));
        body(Json::parse(line));
    }
    return count;
}

std::vector<TokenId> read_ids(const Json& line) {
    std::vector<TokenId> ids;
    for (const Json& id : line.at("ids").as_array("ids")) {
        ids.push_back(static_cast<TokenId>(id.as_integer("id")));
    }
    return ids;
}

void expect_encodings(const Tokenizer& tokenizer, const std::filesystem::path& path) {
    const std::size_t lines = for_each_line(path, [&](const Json& line) {
        const std::string& text = line.at("text").as_string("text");
        EncodeOptions options;
        options.adds_special = line.at("add_special").as_boolean("add_special");
        if (const Json* how = line.find("special_text"); how != nullptr && *how == Json("plain")) {
            options.special_text = SpecialText::plain;
        }
        try {
            EXPECT_EQ(tokenizer.encode(text, options), read_ids(line)) << text;
        } catch (const Error& error) {
            // The reference loses bytes that have no token.
            EXPECT_EQ(error.kind(), ErrorKind::mismatch);
            EXPECT_THAT(error.message(), ::testing::HasSubstr("has no token for byte 0x"));
            EXPECT_NE(tokenizer.decode(read_ids(line), SpecialTokens::keep), text);
        }
    });
    EXPECT_GT(lines, 0U);
}

SpecialTokens read_special_tokens(const Json& line) {
    return line.at("skip_special").as_boolean("skip_special") ? SpecialTokens::skip
                                                              : SpecialTokens::keep;
}

void expect_decodings(const Tokenizer& tokenizer, const std::filesystem::path& path) {
    const std::size_t lines = for_each_line(path, [&](const Json& line) {
        const std::vector<TokenId> ids = read_ids(line);
        const std::string& text = line.at("text").as_string("text");
        EXPECT_EQ(tokenizer.decode(ids, read_special_tokens(line)), text);
        StreamDecoder decoder(tokenizer, read_special_tokens(line));
        std::string streamed;
        for (const TokenId id : ids) {
            streamed += decoder.push(id);
        }
        streamed += decoder.finish();
        EXPECT_EQ(streamed, text);
    });
    EXPECT_GT(lines, 0U);
}

TEST(TokenizerGolden, TinyFormsEncodeAsTheReference) {
    expect_encodings(Tokenizer::open(testdata / "tiny/qwen2"), testdata / "tiny/qwen2.jsonl");
    expect_encodings(Tokenizer::open(testdata / "tiny/qwen2_legacy"),
                     testdata / "tiny/qwen2.jsonl");
    expect_encodings(Tokenizer::open(testdata / "tiny/qwen3_5"), testdata / "tiny/qwen3_5.jsonl");
}

TEST(TokenizerGolden, TinyFormsDecodeAsTheReference) {
    expect_decodings(Tokenizer::open(testdata / "tiny/qwen2"),
                     testdata / "tiny/qwen2.decode.jsonl");
    expect_decodings(Tokenizer::open(testdata / "tiny/qwen3_5"),
                     testdata / "tiny/qwen3_5.decode.jsonl");
}

TEST(TokenizerGolden, ReportedFormsEncodeAndDecodeAsTheReference) {
    const std::filesystem::path folder =
        std::filesystem::path(ANAMNESIS_TESTDATA) / "field/tokenizer";
    int cases = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        SCOPED_TRACE(entry.path().filename().string());
        const Tokenizer tokenizer = Tokenizer::open(entry.path());
        expect_encodings(tokenizer, entry.path() / "encode.jsonl");
        expect_decodings(tokenizer, entry.path() / "decode.jsonl");
        ++cases;
    }
    EXPECT_EQ(cases, 7);
}

TEST(TokenizerGolden, FormsThatTheLibraryWritesEncodeAndDecodeAsIt) {
    int forms = 0;
    for (const auto& entry : std::filesystem::directory_iterator(testdata / "forms")) {
        SCOPED_TRACE(entry.path().filename().string());
        const Tokenizer tokenizer = Tokenizer::open(entry.path());
        expect_encodings(tokenizer, entry.path() / "encode.jsonl");
        expect_decodings(tokenizer, entry.path() / "decode.jsonl");
        ++forms;
    }
    EXPECT_EQ(forms, 26);
}

/// Of sentencepiece, tiktoken and mistral_common: whose files they are.
TEST(TokenizerGolden, ModelFilesEncodeAndDecodeAsTheirPackages) {
    int forms = 0;
    for (const auto& entry : std::filesystem::directory_iterator(testdata / "models")) {
        SCOPED_TRACE(entry.path().filename().string());
        const Tokenizer tokenizer = Tokenizer::open(entry.path());
        expect_encodings(tokenizer, entry.path() / "encode.jsonl");
        if (std::filesystem::exists(entry.path() / "decode.jsonl")) {
            expect_decodings(tokenizer, entry.path() / "decode.jsonl");
        }
        ++forms;
    }
    EXPECT_EQ(forms, 13);
}

class LargeTokenizerGolden : public ::testing::Test {
protected:
    void SetUp() override {
        if (!std::filesystem::exists(large / "tokenizer.json")) {
            GTEST_SKIP() << large << " is not here";
        }
    }
};

TEST_F(LargeTokenizerGolden, EncodesAsTheReference) {
    const Tokenizer tokenizer = Tokenizer::open(large);
    EXPECT_EQ(tokenizer.vocabulary_size(), 151'665U);
    expect_encodings(tokenizer, goldens / "qwen2.5.jsonl");
    for_each_line(goldens / "qwen2.5.split_special.jsonl", [&](const Json& line) {
        EXPECT_EQ(tokenizer.encode(line.at("text").as_string("text"), SpecialText::plain),
                  read_ids(line));
    });
}

TEST_F(LargeTokenizerGolden, DecodesAndStreamsAsTheReference) {
    const Tokenizer tokenizer = Tokenizer::open(large / "tokenizer.json");
    expect_decodings(tokenizer, goldens / "decode.jsonl");
    for_each_line(goldens / "stream.jsonl", [&](const Json& line) {
        StreamDecoder decoder(tokenizer, read_special_tokens(line));
        const std::vector<TokenId> ids = read_ids(line);
        const Json::Array& pieces = line.at("pieces").as_array("pieces");
        ASSERT_EQ(ids.size(), pieces.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            EXPECT_EQ(decoder.push(ids[i]),
                      pieces[i].is_null() ? std::string() : pieces[i].as_string("piece"));
        }
    });
}

TEST_F(LargeTokenizerGolden, ReadsVocabularyAndMergesToTheSameTokenizer) {
    const std::filesystem::path folder =
        std::filesystem::path(::testing::TempDir()) / "anamnesis-vocab-and-merges";
    std::filesystem::create_directories(folder);
    for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
        std::filesystem::remove(folder / name);
        std::filesystem::create_symlink(std::filesystem::absolute(large / name), folder / name);
    }
    const Tokenizer tokenizer = Tokenizer::open(folder);
    std::filesystem::remove_all(folder);
    expect_encodings(tokenizer, goldens / "qwen2.5.jsonl");
}

}  // namespace
}  // namespace anamnesis::language
