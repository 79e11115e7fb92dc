// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/catalog.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::TemporaryFolder;

TEST(Catalog, SaysWhereTheBytesOfEachTensorLie) {
    const TemporaryFolder folder;
    const auto prologue =
        make_safetensors_prologue({{.name = "a", .dtype = DType::bf16, .shape = {2, 3}},
                                   {.name = "b", .dtype = DType::f4, .shape = {4}}},
                                  {{"format", "pt"}});
    const auto path =
        folder.write("model.safetensors", prologue.bytes + std::string("0123456789ab") + "yz");
    const Catalog catalog = open_catalog(path);
    EXPECT_EQ(catalog.file_bytes, prologue.bytes.size() + 14);
    EXPECT_EQ(catalog.data_begin, prologue.bytes.size());
    EXPECT_THAT(catalog.metadata, ElementsAre(Pair("format", "pt")));
    ASSERT_EQ(catalog.tensors.size(), 2U);
    EXPECT_EQ(catalog.tensors[0].shape, (Shape{2, 3}));
    EXPECT_EQ(catalog.tensors[1].name, "b");
    EXPECT_EQ(catalog.tensors[1].dtype, DType::f4);
    EXPECT_EQ(catalog.tensors[1].bytes, 2U);
    std::array<std::byte, 2> bytes{};
    catalog.file->read_at(catalog.tensors[1].offset, bytes);
    EXPECT_EQ(bytes[0], std::byte{'y'});
}

TEST(Catalog, RefusesContainersItCannotRead) {
    const TemporaryFolder folder;
    const auto path = folder.write("weights.pt", "PK");
    try {
        static_cast<void>(open_catalog(path));
        FAIL() << "a pickle was opened";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.what(), HasSubstr("weights.pt"));
        EXPECT_THAT(error.what(), HasSubstr(".safetensors"));
    }
}

}  // namespace
}  // namespace anamnesis::formats
