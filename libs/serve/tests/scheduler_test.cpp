// SPDX-License-Identifier: Apache-2.0
#include "scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/language_model.hpp"

#include "answering.hpp"
#include "tiny_server.hpp"

namespace anamnesis::serve {
namespace {

using language::FinishReason;
using ::testing::HasSubstr;

struct ServedFamily : ::testing::TestWithParam<const char*> {
    TinyModel model{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Families,
                         ServedFamily,
                         ::testing::ValuesIn(served_families),
                         [](const auto& instance) { return std::string(instance.param); });

/// What `anamnesis generate` gives for a prompt.
language::Generation generate(runtime::HybridModel& model,
                              std::span<const TokenId> prompt,
                              const Decoding& how,
                              std::uint64_t seed = 0) {
    const auto sequence = model.start();
    model.prefill(*sequence, prompt, {}, {});
    language::Sequence* const pointer = sequence.get();
    language::DecodingOptions options{.max_new_tokens = how.max_new_tokens,
                                      .sampling = how.sampling,
                                      .stop = how.stop,
                                      .ignores_end_of_text = how.ignores_end_of_text};
    options.sampling.seed = seed;
    return model.generate(std::span(&pointer, 1), options).front();
}

TEST_P(ServedFamily, AnswersAsGenerateDoesToTheLastBit) {
    TinyScheduler scheduler(*model);
    const auto prompt = random_tokens(70, 1);
    const Outcome served = scheduler.run(make_job(prompt));
    const auto expected = generate(*model, prompt, make_job(prompt).decoding);
    EXPECT_EQ(served.tokens.front(), expected.tokens);
    EXPECT_EQ(served.logprobs.front(), expected.logprobs);
    EXPECT_EQ(served.ends.front().reason, FinishReason::length);
}

TEST_P(ServedFamily, ReusesPrefixesWithoutChangingABit) {
    auto first = random_tokens(75, 2);
    auto second = first;
    second.resize(50);
    const auto other_end = random_tokens(30, 3);
    second.insert(second.end(), other_end.begin(), other_end.end());

    TinyScheduler fresh(*model);
    const Outcome expected = fresh.run(make_job(second));
    EXPECT_EQ(expected.reused, 0U);

    TinyScheduler scheduler(*model);
    const Outcome whole = scheduler.run(make_job(first));
    const Outcome served = scheduler.run(make_job(second));
    EXPECT_EQ(served.reused, 48U) << "three blocks of 16 begin the 50 common tokens";
    EXPECT_EQ(served.tokens, expected.tokens);
    EXPECT_EQ(served.logprobs, expected.logprobs);
    // What the second read has not touched what the first left.
    const Outcome again = scheduler.run(make_job(first));
    EXPECT_EQ(again.reused, 64U);
    EXPECT_EQ(again.logprobs, whole.logprobs);
}

TEST_P(ServedFamily, AnswersTheSameAloneAndInCompany) {
    std::vector<Job> jobs;
    std::vector<Outcome> alone;
    // More than take a step together.
    for (std::size_t i = 0; i < answers_per_step + 3; ++i) {
        Job job = make_job(random_tokens(5 + 6 * i, 10 + i), 20);
        job.decoding.sampling = {
            .temperature = i % 2 == 0 ? 0.0 : 1.3, .top_p = 0.9, .seed = 77 + i};
        TinyScheduler scheduler(*model);
        alone.push_back(scheduler.run(job));
        jobs.push_back(std::move(job));
    }
    TinyScheduler scheduler(*model);
    for (const Job& job : jobs) {
        scheduler.add(job);
    }
    scheduler.finish();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        const Outcome together = read_outcome(jobs[i]);
        EXPECT_EQ(together.tokens, alone[i].tokens) << i;
        EXPECT_EQ(together.logprobs, alone[i].logprobs) << i;
    }
}

TEST_P(ServedFamily, GivesSeveralAnswersFromOneReading) {
    Job job = make_job(random_tokens(40, 4));
    job.answers = 3;
    job.decoding.sampling = {.temperature = 1.2, .seed = 9};
    TinyScheduler scheduler(*model);
    const Outcome served = scheduler.run(job);
    EXPECT_EQ(scheduler.metrics().prompt_tokens, 40U);
    ASSERT_EQ(served.tokens.size(), 3U);
    EXPECT_NE(served.tokens[0], served.tokens[1]);
    EXPECT_EQ(served.tokens[0], generate(*model, job.prompt, job.decoding, 9).tokens);
    for (std::size_t i = 0; i < 3; ++i) {
        Job single = job;
        single.answers = 1;
        single.first_answer = i;
        single.channel = std::make_shared<Channel>();
        TinyScheduler other(*model);
        EXPECT_EQ(other.run(single).tokens.front(), served.tokens[i]) << i;
    }
}

TEST_P(ServedFamily, ScoresThePromptAsTheModelDoes) {
    const auto prompt = random_tokens(45, 5);
    Job job = make_job(prompt, 0);
    job.scores_prompt = true;
    TinyScheduler scheduler(*model);
    scheduler.run(make_job(prompt));
    const Outcome served = scheduler.run(job);
    EXPECT_EQ(served.reused, 0U) << "scores need every token to be read";
    ASSERT_EQ(served.prompt.size(), 44U);
    EXPECT_EQ(served.tokens.front().size(), 0U);
    EXPECT_EQ(served.ends.front().reason, FinishReason::length);
    const auto sequence = model->start();
    model->prefill(*sequence, std::span(prompt).first(1), {}, {});
    const auto expected = model->score(*sequence, std::span(prompt).subspan(1));
    for (std::size_t i = 0; i < 44; ++i) {
        EXPECT_EQ(served.prompt[i].token, prompt[i + 1]);
        EXPECT_NEAR(served.prompt[i].logprob, expected[i].logprob, 1e-4) << i;
        ASSERT_EQ(served.prompt[i].alternatives.size(), 2U);
        EXPECT_EQ(served.prompt[i].alternatives[0].second > served.prompt[i].logprob,
                  !expected[i].is_greedy);
    }
}

TEST_P(ServedFamily, ForgetsPrefixesThatItHasNoRoomFor) {
    const SchedulerOptions roomy{.block = tiny_block, .state_bytes = std::uint64_t{1} << 30U};
    TinyScheduler measure(*model, roomy);
    const Job job = make_job(random_tokens(64, 6), 4);
    const std::uint64_t one = measure->estimate_bytes(job);
    SchedulerOptions tight = roomy;
    tight.state_bytes = 2 * one + one / 2;
    TinyScheduler scheduler(*model, tight);
    for (std::uint64_t i = 0; i < 6; ++i) {
        scheduler.run(make_job(random_tokens(64, 100 + i), 4));
        EXPECT_LE(scheduler->prefixes().bytes(), tight.state_bytes);
    }
    EXPECT_GT(scheduler->prefixes().evictions(), 0U);
    EXPECT_GT(scheduler->prefixes().size(), 0U);
    EXPECT_EQ(scheduler.metrics().reserved_bytes, 0U);
    const Outcome forgotten = scheduler.run(make_job(random_tokens(64, 100), 4));
    EXPECT_EQ(forgotten.reused, 0U);
    EXPECT_EQ(forgotten.logprobs, measure.run(make_job(random_tokens(64, 100), 4)).logprobs);
}

struct Schedule : ::testing::Test {
    TinyModel model{"hypenet_base"};
    TinyScheduler scheduler{*model};
};

TEST_P(ServedFamily, KeepsNothingOfAPromptThatIsScored) {
    const auto prompt = random_tokens(3 * tiny_block + 5, 8);
    TinyScheduler fresh(*model);
    const Outcome expected = fresh.run(make_job(prompt));
    Job scored = make_job(prompt);
    scored.scores_prompt = true;
    TinyScheduler scheduler(*model);
    scheduler.run(scored);
    const Outcome served = scheduler.run(make_job(prompt));
    EXPECT_EQ(served.reused, 0U);
    EXPECT_EQ(served.logprobs, expected.logprobs);
}

TEST_F(Schedule, EndsWhatTheClientNoLongerWants) {
    const Job left = make_job(random_tokens(64, 1), 400);
    const Job waiting = make_job(random_tokens(64, 2), 400);
    const Job wanted = make_job(random_tokens(20, 3), 6);
    scheduler.add(left);
    for (int i = 0; i < 8; ++i) {
        scheduler->step();
    }
    scheduler.add(waiting);
    scheduler.add(wanted);
    left.channel->close();
    waiting.channel->close();
    scheduler.finish();
    EXPECT_EQ(scheduler.metrics().answers_running, 0U);
    EXPECT_EQ(scheduler.metrics().reserved_bytes, 0U);
    EXPECT_EQ(scheduler.metrics().prompts_waiting, 0U);
    EXPECT_LT(scheduler.metrics().new_tokens, 30U);
    EXPECT_EQ(read_outcome(wanted).tokens.front().size(), 6U);
}

TEST_F(Schedule, DropsAReaderThatIsTooSlowAndNobodyElse) {
    Job slow = make_job(random_tokens(20, 1), 200);
    slow.channel = std::make_shared<Channel>(10);
    const Job other = make_job(random_tokens(20, 2), 40);
    scheduler.add(slow);
    scheduler.add(other);
    scheduler.finish();
    const Outcome dropped = read_outcome(slow);
    ASSERT_TRUE(dropped.error.has_value());
    EXPECT_THAT(dropped.error->message(), HasSubstr("unread"));
    EXPECT_LT(scheduler.metrics().new_tokens, 60U);
    EXPECT_EQ(read_outcome(other).tokens.front().size(), 40U);
}

TEST_F(Schedule, RunsOneAfterTheOtherWhatDoesNotFitTogether) {
    const Job first = make_job(random_tokens(64, 1), 20);
    const Job second = make_job(random_tokens(64, 2), 20);
    TinyScheduler tight(*model,
                        {.block = tiny_block, .state_bytes = scheduler->estimate_bytes(first) + 1});
    tight.add(first);
    tight.add(second);
    std::size_t most = 0;
    while (tight->step()) {
        most = std::max<std::size_t>(
            most, tight.metrics().answers_running + tight.metrics().prompts_reading);
    }
    EXPECT_EQ(most, 1U);
    EXPECT_EQ(read_outcome(second).tokens, scheduler.run(make_job(second.prompt, 20)).tokens);
}

TEST_F(Schedule, EndsOpenEndedAnswersWhereAQuarterOfTheMemoryDoes) {
    const SchedulerOptions options{.block = tiny_block, .state_bytes = 64U << 20U};
    TinyScheduler tight(*model, options);
    Job job = make_job(random_tokens(40, 1), 1'000'000);
    tight->shorten(job);
    EXPECT_EQ(job.decoding.max_new_tokens, 1'000'000U) << "the request's own limit is kept";
    EXPECT_THROW(tight->check(job), Error);

    job.decoding.is_open_ended = true;
    tight->shorten(job);
    EXPECT_NO_THROW(tight->check(job));
    const std::uint64_t prompt = tight->estimate_bytes(make_job(job.prompt, 0));
    const std::uint64_t answer = tight->estimate_bytes(job) - prompt;
    EXPECT_LE(answer, options.state_bytes / 4);
    EXPECT_GT(answer, options.state_bytes / 5);

    Job brief = make_job(job.prompt, 3);
    brief.decoding.is_open_ended = true;
    tight->shorten(brief);
    EXPECT_EQ(brief.decoding.max_new_tokens, 3U);

    TinyScheduler full(*model, {.block = tiny_block, .state_bytes = tight->estimate_bytes(job)});
    Job longer =
        make_job(random_tokens(job.prompt.size() + job.decoding.max_new_tokens / 2, 1), 1'000'000);
    longer.decoding.is_open_ended = true;
    full->shorten(longer);
    EXPECT_NO_THROW(full->check(longer)) << "what is left is less than a quarter";
    EXPECT_GT(longer.decoding.max_new_tokens, 0U);
}

TEST_F(Schedule, RefusesWhatCanNeverRun) {
    TinyScheduler small(*model, {.sequences = 2, .block = tiny_block, .state_bytes = 1U << 20U});
    Job many = make_job(random_tokens(4, 1));
    many.answers = 3;
    EXPECT_THROW(small->check(many), Error);
    try {
        small->check(make_job(random_tokens(30000, 1)));
        FAIL() << "a megabyte holds no 30,000 tokens";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("caches and states"));
    }
}

TEST_F(Schedule, KeepsPrefixesOfOneSaltApartFromThoseOfAnother) {
    const auto prompt = random_tokens(64, 1);
    Job salted = make_job(prompt, 1);
    salted.cache_salt = "a";
    Job private_one = make_job(prompt, 1);
    private_one.reuses_prefix = false;
    EXPECT_EQ(scheduler.run(private_one).reused, 0U);
    EXPECT_EQ(scheduler.run(salted).reused, 0U) << "the private one left nothing";
    EXPECT_EQ(scheduler.run(make_job(prompt, 1)).reused, 0U);
    salted.channel = std::make_shared<Channel>();
    EXPECT_EQ(scheduler.run(salted).reused, 48U) << "the last block is read for its logits";
}

TEST_F(Schedule, StopsAtStopStringsAndEndOfText) {
    Job job = make_job(random_tokens(20, 1), 40);
    const Outcome whole = scheduler.run(job);
    const std::string text = model->decode(whole.tokens.front());
    const std::string half = text.substr(text.size() / 2);
    const auto plain =
        std::ranges::find_if(half, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    ASSERT_NE(plain, half.end()) << "no plain character in the second half";
    const std::string stop(1, *plain);
    job.channel = std::make_shared<Channel>();
    job.decoding.stop = {stop};
    const Outcome stopped = scheduler.run(job);
    EXPECT_EQ(stopped.ends.front().reason, FinishReason::stop_string);
    EXPECT_EQ(stopped.ends.front().stop, stop);
    EXPECT_EQ(stopped.ends.front().tokens_in_text,
              generate(*model, job.prompt, job.decoding).tokens.size());
}

TEST(Sharing, CountsPagesThatPrefixesShareOnce) {
    // Attention alone: three kept states of one prompt hold one page in each layer.
    const TinyModel model("qwen3_base");
    TinyScheduler scheduler(*model);
    scheduler.run(make_job(random_tokens(17, 1), 1));
    const std::uint64_t once = scheduler->prefixes().bytes();
    TinyScheduler other(*model);
    other.run(make_job(random_tokens(49, 1), 1));
    EXPECT_EQ(other->prefixes().size(), 3U);
    EXPECT_EQ(other->prefixes().bytes(), once);
}

}  // namespace
}  // namespace anamnesis::serve
