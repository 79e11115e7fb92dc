// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/foreign_file.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anamnesis::formats {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

TEST(ForeignFile, IsCalledWhatItsFirstBytesSay) {
    EXPECT_THAT(describe_foreign_bytes("version https://git-lfs.github.com/spec/v1\n"
                                       "oid sha256:1234\nsize 4976698672\n"),
                Optional(HasSubstr("of 4976698672 bytes")));
    EXPECT_THAT(describe_foreign_bytes("  \n<!doctype HTML><title>"),
                Optional(HasSubstr("web page")));
    EXPECT_THAT(describe_foreign_bytes("{\"error\": \"Unauthorized\"}"),
                Optional(HasSubstr("answer of a server")));
    EXPECT_THAT(describe_foreign_bytes("GGUF....."), Optional(HasSubstr("GGUF")));
    EXPECT_THAT(describe_foreign_bytes("PK\x03\x04......model/data.pkl"),
                Optional(HasSubstr("torch.save")));
    EXPECT_THAT(describe_foreign_bytes("PK\x03\x04......readme.txt"),
                Optional(HasSubstr("zip archive")));
    EXPECT_THAT(describe_foreign_bytes("\x80\x02\x8A\x0Al"), Optional(HasSubstr("pickle")));
    EXPECT_THAT(describe_foreign_bytes(std::string(100, '\0')), Optional(HasSubstr("zeros")));
}

TEST(ForeignFile, SaysNothingOfWeightsAndOfJson) {
    EXPECT_EQ(describe_foreign_bytes(""), std::nullopt);
    EXPECT_EQ(describe_foreign_bytes("{\"model_type\": \"llama\"}"), std::nullopt);
    std::string header("\x10\0\0\0\0\0\0\0", 8);
    header += "{\"a\":{\"dtype\":\"F32\"}}";
    EXPECT_EQ(describe_foreign_bytes(header), std::nullopt);
    EXPECT_EQ(describe_foreign_file("/nowhere/at/all"), std::nullopt);
}

}  // namespace
}  // namespace anamnesis::formats
