// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/gguf.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/io/file.hpp"

#include "gguf_bytes.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::formats {
namespace {

using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
    return std::filesystem::path(ANAMNESIS_TESTDATA) / "gguf/malformed" / name;
}

class GgufReading : public ::testing::Test {
protected:
    GgufFile open(const GgufBytes& file, std::uint32_t version = 3) {
        return open(file.bytes(version));
    }
    GgufFile open(const std::string& bytes) { return open_gguf(folder_.write("m.gguf", bytes)); }

    void refuses(const std::string& bytes, const std::string& fact) {
        try {
            open(bytes);
            ADD_FAILURE() << "accepted, though " << fact;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(fact));
        }
    }

    static GgufBytes model() {
        GgufBytes file;
        file.key("general.architecture", "qwen3");
        return file;
    }

    testing::TemporaryFolder folder_;
};

/// What the message must say of each malformed file.
const std::vector<std::pair<std::string, std::string>> expected_words{
    {"empty", "cut off"},
    {"magic_only", "the version"},
    {"wrong_magic", "does not begin with \"GGUF\""},
    {"version_1", "version 1"},
    {"version_swapped", "big-endian"},
    {"version_future", "expected 2 or 3"},
    {"huge_tensor_count", "tensors, the file has"},
    {"huge_kv_count", "keys, the file has"},
    {"negative_count", "claims 18446744073709551615 tensors"},
    {"key_longer_than_file", "the name of a key claims"},
    {"key_length_wraps", "the name of a key claims 18446744073709551615 bytes"},
    {"string_longer_than_file", "the value of key"},
    {"array_count_wraps", "elements of type"},
    {"array_of_array", "an array of arrays"},
    {"array_nested_deep", "an array of arrays"},
    {"kv_type_unknown", "expected 0 to 12"},
    {"bool_is_2", "a bool of 2"},
    {"duplicate_key", "is there twice"},
    {"empty_key", "empty name"},
    {"key_with_nul", "NUL"},
    {"alignment_zero", "general.alignment is 0"},
    {"alignment_not_power_of_two", "general.alignment is 24"},
    {"alignment_wrong_type", "is of type string, expected u32"},
    {"alignment_huge", "general.alignment is 2147483648"},
    {"dims_5", "5 dimensions"},
    {"dims_count_huge", "4294967295 dimensions"},
    {"dim_negative", "a dimension of -"},
    {"dim_zero", "a dimension of 0"},
    {"elements_wrap", "more than 2^63 - 1 elements"},
    {"bytes_wrap", "more bytes than 64 bits count"},
    {"type_unknown", "not known here"},
    {"type_removed", "has removed"},
    {"row_not_whole_blocks", "rows of 48 elements, expected whole blocks of 32"},
    {"offset_unaligned", "expected a multiple of the alignment"},
    {"offset_past_end", "at offset"},
    {"offset_plus_size_wraps", "at offset"},
    {"data_truncated", "it was cut off"},
    {"tensors_overlap", "tensors overlap"},
    {"hole_between_tensors", "leave a hole"},
    {"duplicate_tensor", "is there twice"},
    {"tensor_name_64", "has 64 bytes, expected at most 63"},
    {"tensor_name_empty", "is empty"},
    {"tensor_name_bad_utf8", "is not UTF-8"},
    {"no_architecture", "'general.architecture' is missing"},
    {"architecture_wrong_type", "expected one string"},
    {"trailing_bytes", "after its last tensor"},
    {"split_count_0", "split.count is 0"},
    {"split_no_out_of_range", "split.no is 3 of split.count 2"},
};

TEST(GgufGolden, EveryMalformedFileIsRefusedWithItsCause) {
    const Json cases = Json::parse(io::read_text(golden("cases.json")));
    std::size_t refused = 0;
    for (const Json& entry : cases.as_array("cases")) {
        const std::string name = entry.at("file").as_string("file");
        SCOPED_TRACE(name);
        if (entry.at("must").as_string("must") == "read") {
            EXPECT_NO_THROW(open_gguf(golden(name)));
            continue;
        }
        const auto stem = std::filesystem::path(name).stem().string();
        const auto words =
            std::ranges::find(expected_words, stem, &std::pair<std::string, std::string>::first);
        ASSERT_NE(words, expected_words.end());
        try {
            open_gguf(golden(name));
            ADD_FAILURE() << "accepted";
        } catch (const Error& error) {
            ++refused;
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(words->second));
            EXPECT_THAT(error.what(), HasSubstr(name));
        }
    }
    EXPECT_EQ(refused, expected_words.size());
}

TEST(GgufGolden, TheGoodFilesAreRead) {
    for (const char* name : {"valid.gguf", "valid_v2.gguf"}) {
        const GgufFile file = open_gguf(golden(name));
        EXPECT_FALSE(file.architecture().empty());
        ASSERT_FALSE(file.tensors.empty());
        EXPECT_EQ(file.tensors.front().offset, file.data_begin);
    }
    EXPECT_EQ(open_gguf(golden("valid_v2.gguf")).version, 2U);
}

TEST_F(GgufReading, ReadsValuesOfEveryType) {
    GgufBytes bytes = model();
    bytes.key("a.u8", 0, GgufBytes::number(std::uint8_t{200}))
        .key("a.i16", 3, GgufBytes::number(std::int16_t{-5}))
        .key("a.u64", 10, GgufBytes::number(std::uint64_t{1} << 40U))
        .key("a.f32", 6, GgufBytes::number(0.5F))
        .key("a.f64", 12, GgufBytes::number(0.25))
        .key("a.flag", 7, std::string(1, '\1'))
        .array("a.flags", 7, {std::string(1, '\1'), std::string(1, '\0')})
        .array("a.counts", 5, {GgufBytes::number(3), GgufBytes::number(0)})
        .array("a.words", 8, {GgufBytes::text("x"), GgufBytes::text(""), GgufBytes::text("yz")});
    const GgufFile file = open(bytes);
    const GgufMetadata& data = file.metadata;
    EXPECT_EQ(data.find_count("a.u8"), 200U);
    EXPECT_EQ(data.find_number("a.i16"), -5.0);
    EXPECT_EQ(data.find_count("a.u64"), std::uint64_t{1} << 40U);
    EXPECT_EQ(data.find_number("a.f32"), 0.5);
    EXPECT_EQ(data.find_number("a.f64"), 0.25);
    EXPECT_EQ(data.find_flag("a.flag"), true);
    EXPECT_THAT(*data.find_flags("a.flags"), ElementsAre(true, false));
    EXPECT_THAT(*data.find_counts("a.counts"), ElementsAre(3, 0));
    EXPECT_THAT(*data.find_strings("a.words"), ElementsAre("x", "", "yz"));
    EXPECT_EQ(data.find_string("general.architecture"), "qwen3");
    EXPECT_EQ(data.find_count("absent"), std::nullopt);
    EXPECT_EQ(data.describe(*data.find("a.words")), "[3 strings]");
    EXPECT_EQ(data.describe(*data.find("a.flags")), "[true, false]");
}

TEST_F(GgufReading, AValueOfAnotherTypeIsNamed) {
    GgufBytes bytes = model();
    bytes.key("a.text", "x").key("a.negative", 5, GgufBytes::number(-1));
    const GgufFile file = open(bytes);
    for (const auto& read :
         std::vector<std::function<void()>>{[&] { file.metadata.find_count("a.text"); },
                                            [&] { file.metadata.find_flag("a.text"); },
                                            [&] { file.metadata.find_string("a.negative"); },
                                            [&] { file.metadata.find_count("a.negative"); }}) {
        EXPECT_THROW(read(), Error);
    }
}

TEST_F(GgufReading, TensorsLieWhereTheFileSays) {
    GgufBytes bytes = model();
    bytes.alignment(64)
        .tensor("a", {32, 3}, 8, std::string(102, 'a'))
        .tensor("b", {5}, 0, std::string(20, 'b'));
    const GgufFile file = open(bytes);
    EXPECT_EQ(file.alignment, 64U);
    EXPECT_EQ(file.data_begin % 64, 0U);
    EXPECT_EQ(file.tensors[0].dtype, DType::q8_0);
    EXPECT_THAT(file.tensors[0].shape, ElementsAre(3, 32));
    EXPECT_EQ(file.tensors[0].bytes, 102U);
    EXPECT_EQ(file.tensors[1].offset, file.data_begin + 128);
    std::string found(20, '\0');
    file.file->read_at(file.tensors[1].offset, std::as_writable_bytes(std::span(found)));
    EXPECT_EQ(found, std::string(20, 'b'));
}

TEST_F(GgufReading, TheLastPaddingMayBeMissingAndNothingElse) {
    GgufBytes bytes = model();
    bytes.tensor("a", {5}, 0, std::string(20, 'b'));
    const std::string whole = bytes.bytes();
    EXPECT_NO_THROW(open(whole.substr(0, whole.size() - 12)));
    refuses(whole.substr(0, whole.size() - 13), "it was cut off");
    refuses(whole + '\0', "after its last tensor");
}

TEST_F(GgufReading, AShardAfterTheFirstNeedsNoArchitecture) {
    GgufBytes bytes;
    bytes.key("split.no", 2, GgufBytes::number(std::uint16_t{1}))
        .key("split.count", 2, GgufBytes::number(std::uint16_t{2}))
        .key("split.tensors.count", 5, GgufBytes::number(7));
    const GgufFile file = open(bytes);
    ASSERT_TRUE(file.split);
    EXPECT_EQ(file.split->number, 1U);
    EXPECT_EQ(file.split->tensors, 7U);
    EXPECT_TRUE(file.architecture().empty());
}

TEST_F(GgufReading, BigEndianFilesAreRefusedByName) {
    std::string bytes = model().bytes();
    bytes.replace(4, 4, std::string("\0\0\0\3", 4));
    refuses(bytes, "big-endian");
}

TEST_F(GgufReading, AnotherKindOfFileIsCalledWhatItIs) {
    refuses("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n", "Git LFS");
}

TEST_F(GgufReading, TheCatalogHasTheHeader) {
    GgufBytes bytes = model();
    bytes.tensor("a", {256, 2}, 12, std::string(288, 'a'));
    const Catalog catalog = open_catalog(folder_.write("m.gguf", bytes.bytes()));
    ASSERT_EQ(catalog.tensors.size(), 1U);
    EXPECT_EQ(catalog.tensors.front().dtype, DType::q4_k);
    ASSERT_NE(catalog.gguf, nullptr);
    EXPECT_EQ(catalog.gguf->architecture(), "qwen3");
}

}  // namespace
}  // namespace anamnesis::formats
