// SPDX-License-Identifier: Apache-2.0
#include "prompt_reading.hpp"

#include <cstddef>
#include <cstdint>

#include <gtest/gtest.h>

#include "tiny_server.hpp"

namespace anamnesis::serve {
namespace {

/// Prompts that are read while an answer is made.
struct Reading : ::testing::Test {
    TinyModel model{"hypenet_base"};
    Job answering = make_job(random_tokens(10, 1), 30);

    TinyScheduler make_scheduler(std::size_t prompt_tokens) const {
        return TinyScheduler(*model,
                             {.block = tiny_block,
                              .prompt_tokens = prompt_tokens,
                              .state_bytes = std::uint64_t{1} << 30U});
    }
};

TEST_F(Reading, TakesABlockBetweenTheStepsOfAnswers) {
    TinyScheduler scheduler = make_scheduler(tiny_block);
    scheduler.add(answering);
    scheduler->step();
    scheduler.add(make_job(random_tokens(10 * tiny_block, 2), 30));
    for (int i = 0; i < 5; ++i) {
        scheduler->step();
    }
    EXPECT_EQ(scheduler.metrics().prompts_reading, 1U);
    EXPECT_EQ(read_outcome(answering).tokens.front().size(), 6U);
    scheduler.finish();
}

TEST_F(Reading, TakesWholeBlocksUpToTheTokensOfAStep) {
    TinyScheduler scheduler = make_scheduler(3 * tiny_block + 5);
    scheduler.add(answering);
    scheduler->step();
    scheduler.add(make_job(random_tokens(9 * tiny_block, 2), 30));
    for (int i = 0; i < 2; ++i) {
        scheduler->step();
        EXPECT_EQ(scheduler.metrics().prompts_reading, 1U);
    }
    scheduler->step();
    EXPECT_EQ(scheduler.metrics().prompts_reading, 0U);
    EXPECT_EQ(read_outcome(answering).tokens.front().size(), 4U);
    scheduler.finish();
}

TEST_F(Reading, CountsTheTokensOfShortPrompts) {
    TinyScheduler scheduler = make_scheduler(2 * tiny_block);
    scheduler.add(answering);
    scheduler->step();
    for (std::uint64_t i = 0; i < 7; ++i) {
        scheduler.add(make_job(random_tokens(4, 2 + i), 3));
    }
    scheduler->step();
    // Four make the tokens of a block; beside a fifth there may be no whole block.
    EXPECT_EQ(scheduler.metrics().prompts_reading, 2U);
    scheduler.finish();
}

TEST_F(Reading, LetsAShortPromptOvertakeALongOne) {
    TinyScheduler scheduler = make_scheduler(tiny_block);
    const Job lengthy = make_job(random_tokens(320, 1), 1);
    const Job brief = make_job(random_tokens(10, 2), 1);
    scheduler.add(lengthy);
    scheduler->step();
    scheduler.add(brief);
    scheduler->step();
    scheduler->step();
    EXPECT_EQ(read_outcome(brief).ends.size(), 1U);
    EXPECT_TRUE(read_outcome(lengthy).ends.empty());
    scheduler.finish();
    EXPECT_EQ(read_outcome(lengthy).ends.size(), 1U);
}

}  // namespace
}  // namespace anamnesis::serve
