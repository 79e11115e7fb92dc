// SPDX-License-Identifier: Apache-2.0
#include "block_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace anamnesis::runtime {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

TEST(BlockPool, GivesAFreedBlockToTheNextOfAboutItsSize) {
    BlockPool pool;
    void* const first = pool.take(8 * mebibyte);
    std::memset(first, 1, 8 * mebibyte);
    EXPECT_TRUE(pool.give_back(first));
    void* const smaller = pool.take(8 * mebibyte - 100);
    EXPECT_EQ(smaller, first);
    EXPECT_TRUE(pool.give_back(smaller));
    void* const half = pool.take(4 * mebibyte);
    EXPECT_NE(half, first);
    EXPECT_TRUE(pool.give_back(half));
}

TEST(BlockPool, StartsLargeBlocksAtHugePages) {
    BlockPool pool;
    for (const std::size_t bytes : {3 * mebibyte, 2 * mebibyte, 5 * mebibyte + 1}) {
        void* const block = pool.take(bytes);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % (2 * mebibyte), 0U);
        std::memset(block, 1, bytes);
    }
}

TEST(BlockPool, LeavesAddressesOfOthersAlone) {
    BlockPool pool;
    void* const block = pool.take(mebibyte);
    EXPECT_FALSE(pool.give_back(static_cast<std::byte*>(block) + 4096));
    EXPECT_TRUE(pool.give_back(block));
    EXPECT_FALSE(pool.give_back(block));
    EXPECT_FALSE(pool.give_back(nullptr));
}

TEST(BlockPool, HasNoneOfImpossibleSizes) {
    BlockPool pool;
    EXPECT_EQ(pool.take(SIZE_MAX), nullptr);
    EXPECT_EQ(pool.take(SIZE_MAX / 4), nullptr);
    EXPECT_EQ(pool.sizes().in_use, 0U);
}

/// Random blocks come and go, each full of a number of its own.
TEST(BlockPool, NeverHoldsMoreThanWasOnceInUse) {
    BlockPool pool;
    std::mt19937 random(1);
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    unsigned char mark = 0;
    for (int turn = 0; turn < 4000; ++turn) {
        if (blocks.size() < 12 && random() % 2 == 0) {
            const std::size_t bytes = 1 + random() % (3 * mebibyte);
            auto* const block = static_cast<unsigned char*>(pool.take(bytes));
            ASSERT_NE(block, nullptr);
            block[0] = block[bytes - 1] = ++mark;
            blocks.emplace_back(block, bytes);
        } else if (!blocks.empty()) {
            const auto chosen =
                blocks.begin() + static_cast<std::ptrdiff_t>(random() % blocks.size());
            ASSERT_EQ(chosen->first[0], chosen->first[chosen->second - 1]);
            ASSERT_TRUE(pool.give_back(chosen->first));
            blocks.erase(chosen);
        }
        const BlockPool::Sizes sizes = pool.sizes();
        ASSERT_LE(sizes.in_use + sizes.kept, sizes.most);
    }
    EXPECT_GT(pool.sizes().kept, 0U);
}

}  // namespace
}  // namespace anamnesis::runtime
