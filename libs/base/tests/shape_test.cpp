// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shape.hpp"

#include <cstdint>
#include <optional>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {
namespace {

constexpr std::uint64_t large = std::uint64_t{1} << 32U;

TEST(Shape, OfAScalarHasOneElement) {
    EXPECT_EQ(find_element_count({}), 1U);
    EXPECT_EQ(find_byte_count(DType::f64, {}), 8U);
}

TEST(Shape, WithAnEmptyDimensionHasNoElement) {
    EXPECT_EQ(find_element_count({4, 0, 3}), 0U);
    EXPECT_EQ(find_byte_count(DType::bf16, {4, 0, 3}), 0U);
}

TEST(Shape, CountsBytesByType) {
    EXPECT_EQ(find_byte_count(DType::bf16, {4096, 2560}), 20'971'520U);
    EXPECT_EQ(find_byte_count(DType::boolean, {3}), 3U);
    EXPECT_EQ(find_byte_count(DType::c64, {3}), 24U);
}

TEST(Shape, CountsPackedTypesInWholeBytesOnly) {
    EXPECT_EQ(find_byte_count(DType::f4, {2, 3}), 3U);
    EXPECT_EQ(find_byte_count(DType::f4, {3}), std::nullopt);
    EXPECT_EQ(find_byte_count(DType::f6_e2m3, {4}), 3U);
    EXPECT_EQ(find_byte_count(DType::f6_e2m3, {2}), std::nullopt);
}

TEST(Shape, HasNoCountWhereItOverflows) {
    EXPECT_EQ(find_element_count({large, large}), std::nullopt);
    EXPECT_EQ(find_element_count({large, large / 4}), std::uint64_t{1} << 62U);
    EXPECT_EQ(find_byte_count(DType::f32, {large, large / 4}), std::nullopt);
}

TEST(Shape, ReadsAsAList) {
    EXPECT_EQ(to_string(Shape{4096, 2560}), "[4096, 2560]");
    EXPECT_EQ(to_string(Shape{7}), "[7]");
    EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(DType, IsFoundByTheNameItPrints) {
    for (const DTypeRow& row : dtype_table) {
        EXPECT_EQ(find_dtype(row.name), row.dtype);
        EXPECT_EQ(to_string(row.dtype), row.name);
        EXPECT_EQ(count_elements(row.dtype, row.block_bytes), row.block_elements);
        EXPECT_EQ(element_bytes(row.dtype), row.block_elements == 1 ? row.block_bytes : 0);
    }
    EXPECT_EQ(find_dtype("f32"), std::nullopt);
    EXPECT_EQ(find_dtype(""), std::nullopt);
}

}  // namespace
}  // namespace anamnesis
