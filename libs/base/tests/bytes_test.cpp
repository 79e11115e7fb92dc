// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/bytes.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t large = std::uint64_t{1} << 32U;

template <std::size_t Count>
std::optional<std::uint64_t> product(const std::array<std::uint64_t, Count>& factors) {
    return checked_product(factors);
}

TEST(CheckedProduct, OfNothingIsOne) {
    EXPECT_EQ(checked_product({}), 1U);
}

TEST(CheckedProduct, ReachesTheEdgeAndNotBeyond) {
    EXPECT_EQ(product(std::array{most, std::uint64_t{1}}), most);
    EXPECT_EQ(product(std::array{large, large - 1}), most - large + 1);
    EXPECT_EQ(product(std::array{large, large}), std::nullopt);
    EXPECT_EQ(product(std::array{most, std::uint64_t{2}}), std::nullopt);
}

TEST(CheckedProduct, WithZeroIsZero) {
    EXPECT_EQ(product(std::array{std::uint64_t{0}, most}), 0U);
    EXPECT_EQ(product(std::array{most, std::uint64_t{0}}), 0U);
}

TEST(CheckedProduct, DoesNotLetAZeroHideAnOverflow) {
    EXPECT_EQ(product(std::array{std::uint64_t{0}, large, large}), std::nullopt);
    EXPECT_EQ(product(std::array{large, large, std::uint64_t{0}}), std::nullopt);
}

TEST(CheckedSum, ReachesTheEdgeAndNotBeyond) {
    EXPECT_EQ(checked_sum(most, 0), most);
    EXPECT_EQ(checked_sum(most - 1, 1), most);
    EXPECT_EQ(checked_sum(most, 1), std::nullopt);
}

TEST(ByteRange, LiesInsideTheWhole) {
    const ByteRange range = ByteRange::within(2, 5, 5);
    EXPECT_EQ(range.begin(), 2U);
    EXPECT_EQ(range.end(), 5U);
    EXPECT_EQ(range.size(), 3U);
    EXPECT_EQ(ByteRange::within(5, 5, 5).size(), 0U);
    EXPECT_EQ(ByteRange(), ByteRange::within(0, 0, 0));
}

TEST(ByteRange, RefusesWhatLeavesTheWhole) {
    for (const auto& [begin, end, whole] : {std::array<std::uint64_t, 3>{0, 6, 5},
                                            std::array<std::uint64_t, 3>{4, 3, 5},
                                            std::array<std::uint64_t, 3>{6, 6, 5},
                                            std::array<std::uint64_t, 3>{most, 0, 5}}) {
        try {
            ByteRange::within(begin, end, whole);
            ADD_FAILURE() << begin << ".." << end << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            EXPECT_THAT(error.what(),
                        AllOf(HasSubstr(std::to_string(begin) + ".." + std::to_string(end)),
                              HasSubstr("5 bytes")));
        }
    }
}

}  // namespace
}  // namespace anamnesis
