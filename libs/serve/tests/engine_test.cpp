// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "tiny_server.hpp"

namespace anamnesis::serve {
namespace {

struct EngineOfTwo : ::testing::Test {
    EngineOfTwo() {
        models.push_back({.name = "a", .model = TinyModel("hypenet_base").take()});
        models.push_back({.name = "b", .model = TinyModel("qwen3_base").take()});
    }

    static Job lengthy(std::uint64_t seed) { return make_job(random_tokens(30, seed), 400); }
    /// The first event that comes within a minute.
    static std::optional<Event> wait_for(const Job& job) {
        return job.channel->pop(std::chrono::seconds(60));
    }

    std::vector<ServedModel> models;
    ServeOptions options{
        .sequences = 1, .waiting = 2, .block = tiny_block, .state_bytes = std::uint64_t{1} << 30U};
};

TEST_F(EngineOfTwo, RunsBothModelsAtOnce) {
    Engine engine(models, options);
    const Job first = make_job(random_tokens(30, 1), 8);
    const Job second = make_job(random_tokens(30, 1), 8);
    EXPECT_EQ(engine.submit(0, {first}), Engine::Admission::taken);
    EXPECT_EQ(engine.submit(1, {second}), Engine::Admission::taken);
    engine.drain(std::chrono::minutes(1));
    const Outcome a = read_outcome(first);
    const Outcome b = read_outcome(second);
    EXPECT_EQ(a.tokens.front().size(), 8U);
    EXPECT_EQ(b.tokens.front().size(), 8U);
    EXPECT_NE(a.logprobs, b.logprobs);
}

TEST_F(EngineOfTwo, RefusesMoreThanMayWait) {
    Engine engine(models, options);
    std::vector<Job> taken;
    std::size_t refused = 0;
    for (std::uint64_t i = 0; i < 12; ++i) {
        Job job = lengthy(i);
        if (engine.submit(0, {job}) == Engine::Admission::busy) {
            ++refused;
        } else {
            taken.push_back(std::move(job));
        }
    }
    EXPECT_GE(refused, 12U - 4U) << "one runs, one may be about to, two wait";
    EXPECT_EQ(engine.metrics(0).prompts_refused, refused);
    EXPECT_EQ(engine.submit(1, {lengthy(20)}), Engine::Admission::taken)
        << "the other model has a queue of its own";
    engine.stop();
    for (const Job& job : taken) {
        EXPECT_TRUE(read_outcome(job).error || read_outcome(job).ends.empty());
    }
}

TEST_F(EngineOfTwo, EndsWhatIsUnderWayWhenItStops) {
    Engine engine(models, options);
    const Job running = lengthy(1);
    const Job waiting = lengthy(2);
    ASSERT_EQ(engine.submit(0, {running, waiting}), Engine::Admission::taken);
    ASSERT_TRUE(wait_for(running).has_value());
    engine.drain(std::chrono::milliseconds(1));
    EXPECT_EQ(engine.submit(0, {lengthy(3)}), Engine::Admission::stopping);
    engine.stop();
    for (const Job* job : {&running, &waiting}) {
        const Outcome outcome = read_outcome(*job);
        ASSERT_TRUE(outcome.error.has_value());
        EXPECT_EQ(outcome.error->kind(), ErrorKind::cancelled);
    }
}

}  // namespace
}  // namespace anamnesis::serve
