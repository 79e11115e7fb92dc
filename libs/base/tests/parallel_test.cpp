// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/parallel.hpp"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

using ::testing::ElementsAre;

TEST(ParallelFor, RunsEveryIndexOnce) {
    for (const unsigned threads : {1U, 2U, 3U, 16U}) {
        std::vector<std::atomic<int>> runs(1000);
        parallel_for(runs.size(), threads, [&](std::size_t i) { ++runs[i]; });
        for (const std::atomic<int>& count : runs) {
            EXPECT_EQ(count, 1);
        }
    }
}

TEST(ParallelFor, RunsNothingForNothing) {
    parallel_for(0, 4, [](std::size_t) { ADD_FAILURE() << "ran"; });
}

TEST(ParallelFor, RunsInTheCallerWithOneThreadOrNone) {
    for (const unsigned threads : {0U, 1U}) {
        const std::thread::id caller = std::this_thread::get_id();
        std::vector<std::size_t> order;
        parallel_for(3, threads, [&](std::size_t i) {
            EXPECT_EQ(std::this_thread::get_id(), caller);
            order.push_back(i);
        });
        EXPECT_THAT(order, ElementsAre(0, 1, 2));
    }
}

TEST(ParallelFor, UsesNoMoreThreadsThanAllowed) {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    parallel_for(200, 3, [&](std::size_t) {
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
    });
    EXPECT_LE(seen.size(), 3U);
}

TEST(ParallelFor, ThrowsTheFirstExceptionInTheCaller) {
    std::vector<std::size_t> ran;
    try {
        parallel_for(10, 1, [&](std::size_t i) {
            ran.push_back(i);
            if (i >= 2) {
                throw Error(ErrorKind::mismatch, "index " + std::to_string(i));
            }
        });
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "index 2");
    }
    EXPECT_THAT(ran, ElementsAre(0, 1, 2));
}

TEST(ParallelFor, StopsAllThreadsAfterAnException) {
    std::atomic<std::size_t> runs{0};
    constexpr std::size_t count = 1'000'000;
    EXPECT_THROW(parallel_for(count,
                              4,
                              [&](std::size_t) {
                                  ++runs;
                                  throw std::runtime_error("each one fails");
                              }),
                 std::runtime_error);
    EXPECT_LE(runs, 4U);
}

TEST(AvailableThreads, AreAtLeastOne) {
    EXPECT_GE(available_threads(), 1U);
}

}  // namespace
}  // namespace anamnesis
