// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "protobuf.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::language {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path models = std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/models";

std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7U) {
        bytes.push_back(static_cast<char>(value | 0x80U));
    }
    bytes.push_back(static_cast<char>(value));
    return bytes;
}

std::string integer(std::uint64_t field, std::uint64_t value) {
    return varint(field << 3U) + varint(value);
}

std::string text(std::uint64_t field, std::string_view bytes) {
    return varint((field << 3U) | 2U) + varint(bytes.size()) + std::string(bytes);
}

std::string piece(std::string_view bytes, float score, std::uint64_t type) {
    std::string message = text(1, bytes) + varint((2U << 3U) | 5U);
    for (unsigned shift = 0; shift < 32; shift += 8) {
        message.push_back(static_cast<char>(std::bit_cast<std::uint32_t>(score) >> shift));
    }
    return text(1, message + integer(3, type));
}

/// <unk>, <s>, the mark of a space, a, b, ab; and what is given.
std::string model(const std::string& more = {}, const std::string& trainer = integer(3, 2)) {
    return piece("<unk>", 0.0F, 2) + piece("<s>", 0.0F, 3) + piece("\xE2\x96\x81", -3.0F, 1) +
           piece("a", -4.0F, 1) + piece("b", -5.0F, 1) + piece("ab", -1.0F, 1) + more +
           text(2, trainer);
}

void expect_refusal(const std::string& bytes,
                    ErrorKind kind,
                    const std::string& fact,
                    const Json& config = Json::object()) {
    try {
        static_cast<void>(Tokenizer::read_model(bytes, config, "some/tokenizer.model"));
        ADD_FAILURE() << "accepted; expected: " << fact;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(fact));
        EXPECT_THAT(error.what(), HasSubstr("some/tokenizer.model"));
    }
}

TEST(Protobuf, RefusesWhatAMessageDoesNotHold) {
    for (const std::string& message :
         {std::string("\x0A\x05"
                      "abc"),
          std::string("\x80"),
          std::string("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"),
          std::string("\x0B"),
          std::string("\x0D\x01\x02"),
          std::string("\x02\x00", 2),
          std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01")}) {
        ProtobufReader reader(message);
        ProtobufField field;
        EXPECT_THROW(static_cast<void>(reader.next(field)), Error);
    }
    ProtobufReader reader("\x08\x96\x01");
    ProtobufField field;
    ASSERT_TRUE(reader.next(field));
    EXPECT_EQ(field.as_integer(), 150U);
    EXPECT_THROW(static_cast<void>(field.as_bytes()), Error);
    EXPECT_FALSE(reader.next(field));
}

TEST(SentencePiece, ReadsASmallModel) {
    const Tokenizer tokenizer = Tokenizer::read_model(model());
    EXPECT_EQ(tokenizer.encode("ab a"), (std::vector<TokenId>{2, 5, 2, 3}));
    EXPECT_EQ(tokenizer.encode("ab", {.adds_special = true}), (std::vector<TokenId>{1, 2, 5}));
    EXPECT_EQ(tokenizer.encode("a<s>zzb"), (std::vector<TokenId>{2, 3, 1, 2, 0, 4}));
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{1, 2, 5, 2, 0, 4}), "ab  \u2047 b");
    const Tokenizer other =
        Tokenizer::read_model(model(), Json::parse(R"({"add_bos_token": false, "legacy": false})"));
    EXPECT_EQ(other.encode("a<s>b", {.adds_special = true}), (std::vector<TokenId>{2, 3, 1, 4}));
}

/// Where sentencepiece 0.2.3 changes its mind about "ab" and "c" against "a" and "bc" (of the same
/// scores but for the last): a user-defined piece has 0.1 for each byte but the first.
TEST(SentencePiece, GivesAUserDefinedPieceOfAUnigramModelAScoreByItsLength) {
    const auto encode = [](const std::string& defined, float score) {
        const std::string bytes = piece("<unk>", 0.0F, 2) + piece(defined, 7.0F, 4) +
                                  piece("c", -3.0F, 1) +
                                  piece(defined.substr(0, defined.size() - 1), -3.0F, 1) +
                                  piece(defined.substr(defined.size() - 1) + "c", score, 1) +
                                  text(3, integer(3, 0) + integer(4, 0));
        return Tokenizer::read_model(bytes).encode(defined + "c");
    };
    EXPECT_EQ(encode("ab", 0.09F), (std::vector<TokenId>{1, 2}));
    EXPECT_EQ(encode("ab", 0.11F), (std::vector<TokenId>{3, 4}));
    EXPECT_EQ(encode("abababab", 0.69F), (std::vector<TokenId>{1, 2}));
    EXPECT_EQ(encode("abababab", 0.71F), (std::vector<TokenId>{3, 4}));
}

TEST(SentencePiece, RefusesByName) {
    using enum ErrorKind;
    expect_refusal(
        model({}, integer(3, 2) + integer(24, 1)), unsupported, "treat_whitespace_as_suffix");
    expect_refusal(model({}, integer(3, 3)), unsupported, "WORD");
    expect_refusal(model({}, integer(3, 4)), unsupported, "CHAR");
    expect_refusal(model(text(5, text(2, "rules"))), unsupported, "denormalizer_spec");
    expect_refusal(model(piece(std::string(1001, 'x'), -1.0F, 1)), unsupported, "1001");
    expect_refusal(model(piece("", -1.0F, 1)), malformed, "piece 6");
    expect_refusal(model(piece("\xFF", -1.0F, 1)), malformed, "piece 6");
    expect_refusal(model(piece("ab", -1.0F, 1)), malformed, "duplicate token 'ab'");
    expect_refusal(model(piece("c", -1.0F / 0.0F, 1)), malformed, "finite");
    expect_refusal(model(piece("c", -1.0F, 9)), malformed, "type 9");
    expect_refusal(model(piece("<u>", -1.0F, 2)), malformed, "2 unknown pieces");
    expect_refusal(model({}, integer(3, 2) + integer(35, 1)), malformed, "0 byte pieces");
    expect_refusal(model(piece("<0x4g>", 0.0F, 6)), malformed, "no byte");
    expect_refusal(model(text(3, text(2, "abc"))), malformed, "character map");
    expect_refusal("version https://git-lfs.github.com/spec/v1\n", malformed, "Git LFS");
    std::string cut = model();
    cut.resize(cut.size() - 1);
    expect_refusal(cut, malformed, "a message of");
}

TEST(Tiktoken, IsKnownByItsContentAndRefusedWithoutAFamily) {
    const std::string lines = "YQ== 0\nYg== 1\nYWI= 2\n";
    expect_refusal(lines, ErrorKind::unsupported, "put a tokenizer.json beside it");
    expect_refusal(lines,
                   ErrorKind::unsupported,
                   "'NewTokenizer'",
                   Json::parse(R"({"tokenizer_class": "NewTokenizer"})"));
    expect_refusal(
        lines, ErrorKind::unsupported, "special tokens", Json::parse(R"({"model_type": "llama"})"));
    const Json kimi = Json::parse(R"({"model_type": "kimi_linear"})");
    expect_refusal(lines + "Yw== x\n", ErrorKind::malformed, "token 3", kimi);
    expect_refusal(lines + "Y*== 3\n", ErrorKind::malformed, "base64", kimi);
    expect_refusal(lines + "YWI= 3\n", ErrorKind::malformed, "duplicate", kimi);
    const Tokenizer tokenizer = Tokenizer::read_model(lines, kimi);
    EXPECT_EQ(tokenizer.encode("ab<|reserved_token_3|>ba"), (std::vector<TokenId>{2, 3, 1, 0}));
    EXPECT_EQ(tokenizer.vocabulary_size(), 259U);
    // A piece that is a token is that token, also where no merges lead to it.
    const Tokenizer other = Tokenizer::read_model("YQ== 0\nYg== 1\nYw== 2\nYWJj 3\n", kimi);
    EXPECT_EQ(other.encode("abc"), std::vector<TokenId>{3});
    EXPECT_EQ(other.encode("cba"), (std::vector<TokenId>{2, 1, 0}));
    EXPECT_THROW(static_cast<void>(other.encode("abc cba")), Error);
}

TEST(Tekken, RefusesCountsThatDoNotAgree) {
    const auto file = [](int count, int special, int rank) {
        return R"({"config": {"pattern": "\\s+|\\S+", "default_vocab_size": )" +
               std::to_string(count) + R"(, "default_num_special_tokens": )" +
               std::to_string(special) + R"(}, "special_tokens": [{"rank": 0, "token_str": "<s>"}],
               "vocab": [{"rank": )" +
               std::to_string(rank) + R"(, "token_bytes": "AA=="}]})";
    };
    EXPECT_EQ(Tokenizer::read_model(file(3, 2, 0)).vocabulary_size(), 3U);
    expect_refusal(file(4, 2, 0), ErrorKind::malformed, "2 are needed");
    expect_refusal(file(1, 2, 0), ErrorKind::malformed, "default_vocab_size is 1");
    expect_refusal(file(1, 0, 0), ErrorKind::malformed, "default_num_special_tokens is 0");
    expect_refusal(file(3, 2, 1), ErrorKind::malformed, "token 0 of 'vocab'");
}

TEST(TokenizerFolder, TakesTokenizerJsonFirst) {
    const testing::TemporaryFolder folder;
    EXPECT_FALSE(Tokenizer::is_in(folder.path()));
    try {
        static_cast<void>(Tokenizer::open(folder.path()));
        ADD_FAILURE() << "an empty folder has a tokenizer";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_THAT(error.what(), HasSubstr("tiktoken.model"));
    }
    const auto copy = [&](const std::filesystem::path& from) {
        std::filesystem::copy(from, folder.path() / from.filename());
    };
    copy(models / "sp_llama/tokenizer.model");
    EXPECT_TRUE(Tokenizer::is_in(folder.path()));
    const std::size_t pieces = Tokenizer::open(folder.path()).vocabulary_size();
    folder.write("added_tokens.json", R"({"<tool>": 2000})");
    EXPECT_EQ(Tokenizer::open(folder.path()).vocabulary_size(), 2001U);
    EXPECT_EQ(Tokenizer::open(folder.path()).encode("<tool>"), std::vector<TokenId>{2000});
    EXPECT_TRUE(Tokenizer::open(folder.path()).is_special(2000));
    copy(models / "tekken/tekken.json");
    EXPECT_NE(Tokenizer::open(folder.path()).vocabulary_size(), pieces);
    EXPECT_EQ(Tokenizer::open(folder.path()).find("[INST]"), 3);
    copy(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2/tokenizer.json");
    // As in transformers <tool> follows the last token of the file, whatever id it is given.
    EXPECT_EQ(Tokenizer::open(folder.path()).encode("<tool>"), std::vector<TokenId>{427});
    std::filesystem::remove(folder.path() / "added_tokens.json");
    EXPECT_EQ(Tokenizer::open(folder.path()).vocabulary_size(), 427U);
    folder.write("tokenizer_config.json",
                 R"({"pad_token": "[PAD]", "eos_token": "<|endoftext|>",
                     "extra_special_tokens": ["<extra>"]})");
    const Tokenizer configured = Tokenizer::open(folder.path());
    const std::vector<TokenId> expected{64, 428, 65, 427};
    EXPECT_EQ(configured.encode("a<extra>b[PAD]"), expected);
    EXPECT_TRUE(configured.is_special(428));
}

TEST(ModelFiles, EncodeAMegabyteOfOneCharacter) {
    for (const auto& entry : std::filesystem::directory_iterator(models)) {
        const Tokenizer tokenizer = Tokenizer::open(entry.path());
        for (const char character : {'a', ' '}) {
            const std::string text(std::size_t{1} << 20U, character);
            static_cast<void>(tokenizer.encode(text));
        }
    }
}

}  // namespace
}  // namespace anamnesis::language
