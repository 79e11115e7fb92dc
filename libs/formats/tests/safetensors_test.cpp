// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/safetensors.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::formats {
namespace {

using ::testing::HasSubstr;

/// The length field and the JSON, as a file begins.
std::string with_length(const std::string& json) {
    std::string bytes;
    for (unsigned i = 0; i < 8; ++i) {
        bytes += static_cast<char>((json.size() >> (8 * i)) & 0xFFU);
    }
    return bytes + json;
}

std::string length_field(std::uint64_t length) {
    std::string bytes;
    for (unsigned i = 0; i < 8; ++i) {
        bytes += static_cast<char>((length >> (8 * i)) & 0xFFU);
    }
    return bytes;
}

class SafetensorsAbuse : public ::testing::Test {
protected:
    SafetensorsFile open(const std::string& bytes) {
        const auto path = folder_.path() / "model.safetensors";
        std::ofstream(path, std::ios::binary) << bytes;
        return SafetensorsFile::open(path);
    }

    /// The error must have this kind, name the file, and state each fact.
    void refuses(const std::string& bytes, ErrorKind kind, const std::vector<std::string>& facts) {
        try {
            open(bytes);
            FAIL() << "accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), kind) << error.what();
            EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
            for (const std::string& fact : facts) {
                EXPECT_THAT(error.what(), HasSubstr(fact));
            }
        }
    }

    void refuses_header(const std::string& json,
                        std::size_t data_bytes,
                        const std::vector<std::string>& facts,
                        ErrorKind kind = ErrorKind::malformed) {
        refuses(with_length(json) + std::string(data_bytes, '\0'), kind, facts);
    }

    testing::TemporaryFolder folder_;
};

const char* const one_tensor = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

TEST_F(SafetensorsAbuse, RefusesAnEmptyFile) {
    refuses("", ErrorKind::malformed, {"0 bytes", "at least 8"});
}
TEST_F(SafetensorsAbuse, RefusesSevenBytes) {
    refuses("1234567", ErrorKind::malformed, {"7 bytes", "at least 8"});
}
TEST_F(SafetensorsAbuse, RefusesAHeaderOfNoBytes) {
    refuses(length_field(0), ErrorKind::malformed, {"not valid JSON"});
}
TEST_F(SafetensorsAbuse, RefusesALengthOfAllOnes) {
    refuses(
        length_field(~0ULL) + "{}", ErrorKind::malformed, {"18446744073709551615", "100000000"});
}
TEST_F(SafetensorsAbuse, RefusesALengthAboveTheLimit) {
    refuses(length_field(100'000'001), ErrorKind::malformed, {"100000001", "at most 100000000"});
}
TEST_F(SafetensorsAbuse, RefusesALengthBeyondTheFile) {
    refuses(length_field(50) + "{}", ErrorKind::malformed, {"claims 50", "has 2 after"});
}
TEST_F(SafetensorsAbuse, RefusesBadUtf8) {
    refuses_header("{\"w\xFF\":1}", 0, {"not valid JSON", "UTF-8"});
}
TEST_F(SafetensorsAbuse, RefusesAByteOrderMark) {
    refuses_header(std::string("\xEF\xBB\xBF") + one_tensor, 8, {"byte order mark"});
}
TEST_F(SafetensorsAbuse, RefusesAList) {
    refuses_header("[]", 0, {"list", "object was expected"});
}
TEST_F(SafetensorsAbuse, RefusesAScalar) {
    refuses_header("7", 0, {"header is 7"});
}
TEST_F(SafetensorsAbuse, RefusesDeepNesting) {
    refuses_header("{\"w\":{\"extra\":" + std::string(100'000, '['), 0, {"nested deeper than 64"});
}
TEST_F(SafetensorsAbuse, RefusesTrailingText) {
    refuses_header("{}x", 0, {"not valid JSON"});
}
TEST_F(SafetensorsAbuse, RefusesADuplicateNameWithTheSameRange) {
    refuses_header(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                   8,
                   {"duplicate key 'w'"});
}
TEST_F(SafetensorsAbuse, RefusesADuplicateNameWithAnotherRange) {
    refuses_header(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
                   16,
                   {"duplicate key 'w'"});
}
TEST_F(SafetensorsAbuse, RefusesADuplicateField) {
    refuses_header(R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                   8,
                   {"'w'", "duplicate key 'dtype'"});
}
TEST_F(SafetensorsAbuse, RefusesADuplicateMetadataKey) {
    refuses_header(R"({"__metadata__":{"a":"1","a":"2"}})", 0, {"duplicate __metadata__ key 'a'"});
}
TEST_F(SafetensorsAbuse, RefusesAnOverlapOfOneByte) {
    refuses_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                   7,
                   {"'b' begins at byte 3", "ends at 4"});
}
TEST_F(SafetensorsAbuse, RefusesAHoleOfOneByte) {
    refuses_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
                   9,
                   {"bytes 4..5", "'b'"});
}
TEST_F(SafetensorsAbuse, RefusesAHoleAtTheStart) {
    refuses_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, {"bytes 0..1"});
}
TEST_F(SafetensorsAbuse, RefusesAnEndBeforeItsBegin) {
    refuses_header(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", 4, {"'w'", "4..0"});
}
TEST_F(SafetensorsAbuse, RefusesAnEndBeyondTheData) {
    refuses_header(
        R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, {"0..8", "has 7"});
}
TEST_F(SafetensorsAbuse, RefusesATrailingByte) {
    refuses_header(one_tensor, 9, {"1 bytes follow the last tensor"});
}
TEST_F(SafetensorsAbuse, RefusesDataWithoutTensors) {
    refuses_header("{}", 3, {"3 bytes follow"});
}
TEST_F(SafetensorsAbuse, RefusesAShapeWhoseProductOverflows) {
    refuses_header(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                   0,
                   {"'w'", "[4294967296, 4294967296]"});
}
TEST_F(SafetensorsAbuse, RefusesBitsThatOverflow) {
    refuses_header(
        R"({"w":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,0]}})", 0, {"'w'"});
}
TEST_F(SafetensorsAbuse, RefusesHugeDimensionsHiddenByAZero) {
    refuses_header(
        R"({"w":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})",
        0,
        {"'w'", "64 bits"});
}
TEST_F(SafetensorsAbuse, RefusesAnOddNumberOfHalfBytes) {
    refuses_header(
        R"({"w":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, {"'w'", "whole bytes"});
}
TEST_F(SafetensorsAbuse, RefusesASizeThatIsNotTheShapes) {
    refuses_header(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                   8,
                   {"'w' has 8 bytes", "F32", "[3]", "need 12"});
}
TEST_F(SafetensorsAbuse, RefusesANegativeOffset) {
    refuses_header(
        R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 0, {"data_offsets", "-1"});
}
TEST_F(SafetensorsAbuse, RefusesAFloatOffset) {
    refuses_header(
        R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}})", 1, {"data_offsets"});
}
TEST_F(SafetensorsAbuse, RefusesAnExponent) {
    refuses_header(
        R"({"w":{"dtype":"U8","shape":[1e3],"data_offsets":[0,1000]}})", 1000, {"shape", "1000"});
}
TEST_F(SafetensorsAbuse, RefusesAnIntegerAbove64Bits) {
    refuses_header(R"({"w":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})",
                   1,
                   {"shape"});
}
TEST_F(SafetensorsAbuse, RefusesAnUnknownDtypeAsUnsupported) {
    refuses_header(R"({"w":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}})",
                   8,
                   {"'w'", "'f32'"},
                   ErrorKind::unsupported);
}
TEST_F(SafetensorsAbuse, RefusesAMissingField) {
    refuses_header(R"({"w":{"dtype":"F32","shape":[2]}})", 0, {"'w' has no data_offsets"});
    refuses_header(R"({"w":{"shape":[2],"data_offsets":[0,8]}})", 8, {"'w' has no dtype"});
}
TEST_F(SafetensorsAbuse, RefusesThreeOffsets) {
    refuses_header(
        R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, {"more than two"});
}
TEST_F(SafetensorsAbuse, RefusesOneOffset) {
    refuses_header(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, {"1 numbers, 2"});
}
TEST_F(SafetensorsAbuse, RefusesAMetadataNumber) {
    refuses_header(R"({"__metadata__":{"format":3}})", 0, {"__metadata__", "'format'", "a string"});
}
TEST_F(SafetensorsAbuse, RefusesMetadataThatIsAString) {
    refuses_header(R"({"__metadata__":"pt"})", 0, {"__metadata__", "an object was expected"});
}
TEST_F(SafetensorsAbuse, RefusesANestedShape) {
    refuses_header(
        R"({"w":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, {"shape", "a list"});
}
TEST_F(SafetensorsAbuse, RefusesAFolder) {
    EXPECT_THROW(SafetensorsFile::open(folder_.path()), Error);
}

TEST_F(SafetensorsAbuse, AcceptsUnknownFieldsOfATensor) {
    const auto file = open(with_length(R"({"w":{"dtype":"F32","shape":[2],"x":{"y":[1,{}]},)"
                                       R"("data_offsets":[0,8],"z":null}})") +
                           std::string(8, '\0'));
    EXPECT_EQ(file.tensors().size(), 1U);
}
TEST_F(SafetensorsAbuse, AcceptsLeadingSpacesAndSaysSo) {
    const auto file = open(with_length(std::string("  ") + one_tensor) + std::string(8, '\0'));
    ASSERT_EQ(file.header().warnings.size(), 1U);
    EXPECT_THAT(file.header().warnings[0], HasSubstr("white space"));
}
TEST_F(SafetensorsAbuse, AcceptsTrailingSpaces) {
    EXPECT_EQ(
        open(with_length(std::string(one_tensor) + "     ") + std::string(8, '\0')).data_begin(),
        8 + std::string(one_tensor).size() + 5);
}
TEST_F(SafetensorsAbuse, AcceptsScalarsAndEmptyTensors) {
    const auto file =
        open(with_length(R"({"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                         R"("e":{"dtype":"BF16","shape":[0,5],"data_offsets":[8,8]}})") +
             std::string(8, '\0'));
    EXPECT_EQ(file.find("s")->data.size(), 8U);
    EXPECT_EQ(file.find("e")->data.size(), 0U);
    EXPECT_EQ(file.find("x"), nullptr);
}
TEST_F(SafetensorsAbuse, AcceptsOddNames) {
    for (const std::string& name : {std::string(), std::string("../x"), std::string("a\\nb")}) {
        const auto file = open(
            with_length("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})") +
            "x");
        EXPECT_EQ(file.tensors().size(), 1U);
    }
}
TEST_F(SafetensorsAbuse, AcceptsANameOfTenMegabytes) {
    const std::string name(10'000'000, 'n');
    const auto file = open(
        with_length("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})") + "x");
    EXPECT_NE(file.find(name), nullptr);
}
TEST_F(SafetensorsAbuse, QuotesHostileNamesInErrors) {
    const std::string name = std::string("\\u001b[31m") + std::string(100'000, 'n');
    try {
        open(with_length("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})") +
             "xx");
        FAIL();
    } catch (const Error& error) {
        EXPECT_LT(std::string(error.what()).size(), 1000U);
        EXPECT_THAT(error.what(), HasSubstr("\\x1b"));
    }
}
TEST_F(SafetensorsAbuse, ReadsEveryDtype) {
    for (const DTypeRow& row : dtype_table) {
        if (is_block_quantised(row.dtype)) {
            continue;  // GGUF's own
        }
        const std::uint64_t bytes = std::uint64_t{8} / row.block_elements * row.block_bytes;
        const auto file = open(with_length(format("{{\"w\":{{\"dtype\":\"{}\",\"shape\":[8],"
                                                  "\"data_offsets\":[0,{}]}}}}",
                                                  row.name,
                                                  bytes)) +
                               std::string(bytes, '\0'));
        EXPECT_EQ(file.tensors()[0].dtype, row.dtype);
    }
}
TEST_F(SafetensorsAbuse, ReadsManyTensorsInLinearTime) {
    constexpr int count = 50'000;
    std::vector<TensorSpec> tensors;
    for (int i = 0; i < count; ++i) {
        tensors.push_back({.name = format("t{}", i), .dtype = DType::u8, .shape = {1}});
    }
    const auto prologue = make_safetensors_prologue(tensors, {});
    const auto file = open(prologue.bytes + std::string(prologue.data_bytes, '\0'));
    EXPECT_EQ(file.tensors().size(), static_cast<std::size_t>(count));
    EXPECT_EQ(file.find("t49999")->data.begin(), 49'999U);
}
TEST_F(SafetensorsAbuse, RefusesManyTensorsOnOneRange) {
    std::string json = "{";
    for (int i = 0; i < 100'000; ++i) {
        json += format("{}\"t{}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                       i == 0 ? "" : ",",
                       i);
    }
    refuses_header(json + "}", 1, {"inside the tensor that ends at 1"});
}
TEST_F(SafetensorsAbuse, OrdersTensorsByTheirBytes) {
    const auto file = open(with_length(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                                       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})") +
                           "xy");
    EXPECT_EQ(file.tensors()[0].name, "a");
    EXPECT_EQ(file.tensors()[1].name, "b");
}
TEST_F(SafetensorsAbuse, ReportsAFileThatShrinksWhileItIsRead) {
    const auto file = open(with_length(one_tensor) + std::string(8, '\0'));
    std::filesystem::resize_file(file.path(), file.data_begin() + 4);
    std::vector<std::byte> buffer(8);
    EXPECT_THROW(file.file().read_at(file.data_begin(), buffer), Error);
}

TEST(SafetensorsWriter, StartsThePayloadOnEightBytes) {
    for (const char* name : {"w", "we", "weight", "weights.7"}) {
        const auto prologue =
            make_safetensors_prologue({{.name = name, .dtype = DType::bf16, .shape = {3}}}, {});
        EXPECT_EQ(prologue.bytes.size() % 8, 0U);
    }
}
TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
    const auto prologue =
        make_safetensors_prologue({{.name = "b", .dtype = DType::bf16, .shape = {2, 3}},
                                   {.name = "a", .dtype = DType::f4, .shape = {4}}},
                                  {{"format", "pt"}, {"quote", "\"\\"}});
    const auto header =
        parse_safetensors_header(std::string_view(prologue.bytes).substr(8), prologue.data_bytes);
    ASSERT_EQ(header.tensors.size(), 2U);
    EXPECT_EQ(header.tensors[0].name, "b");
    EXPECT_EQ(header.tensors[0].shape, (Shape{2, 3}));
    EXPECT_EQ(header.tensors[1].data.begin(), prologue.offsets[1]);
    EXPECT_EQ(header.metadata[1].second, "\"\\");
}
TEST(SafetensorsWriter, RefusesARepeatedName) {
    EXPECT_THROW(make_safetensors_prologue({{.name = "a"}, {.name = "a"}}, {}), Error);
    EXPECT_THROW(make_safetensors_prologue({{.name = "__metadata__"}}, {}), Error);
}

}  // namespace
}  // namespace anamnesis::formats
