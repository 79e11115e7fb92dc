// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/synthetic/source.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/samples_source.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

namespace anamnesis::train::synthetic {
namespace {

constexpr std::size_t shortest = 32;  // S3: a needle of 13 tokens, a question of 15
constexpr std::size_t sums_length = 64;
constexpr std::size_t sums_rows = 32;
constexpr std::size_t lookup_rows = 24;

constexpr std::array<std::pair<std::string_view, Task>, 6> task_names{
    {{"retrieval", Task::retrieval},
     {"lookup", Task::lookup},
     {"arithmetic", Task::arithmetic},
     {"cot", Task::cot},
     {"instruct", Task::instruct},
     {"mix", Task::mix}}};

/// S1, S2 and S3 as 25, 35 and 40 %.
Needle draw_needle(Random& random) {
    const std::uint64_t share = random.below(20);
    return share < 5 ? Needle::s1 : share < 12 ? Needle::s2 : Needle::s3;
}

language::SupervisedText draw_retrieval(Random& random, std::size_t length) {
    constexpr std::size_t questions = 4 * question_tokens + 10;  // and a little text
    const std::size_t room =
        length < questions + 2 * needle_tokens ? 1 : (length - questions) / needle_tokens;
    const std::size_t needles = 1 + random.below(std::min(most_needles, room));
    return retrieval(random,
                     {.needle = draw_needle(random),
                      .length = length,
                      .needles = needles,
                      .questions = std::min<std::size_t>(needles, 4)});
}

template <class Make>
Batch make_batch(std::size_t rows, const Make& make) {
    std::vector<language::SupervisedText> samples;
    std::vector<const language::SupervisedText*> pointers;
    for (std::size_t row = 0; row < rows; ++row) {
        samples.push_back(make());
    }
    for (const language::SupervisedText& sample : samples) {
        pointers.push_back(&sample);
    }
    return padded(pointers);
}

Task task_of_step(Task task, std::uint64_t step) {
    if (task != Task::mix) {
        return task;
    }
    const std::uint64_t place = step % 12;
    if (place % 4 == 3) {
        return Task::arithmetic;
    }
    return place % 6 == 1 ? Task::lookup : Task::retrieval;
}

/// As many as a text of the stage's length holds, at least one.
std::size_t problems_in(const Stage& stage) {
    return std::max<std::size_t>(1, (stage.length - 1) / problem_tokens);
}

Batch draw_batch(Task task, const Stage& stage, Random& random) {
    switch (task) {
        case Task::lookup:
            return make_batch(lookup_rows, [&] { return lookup(random); });
        case Task::arithmetic: {
            const Chain chain = random.below(4) == 0 ? Chain::none : Chain::spaced;
            return make_batch(sums_rows, [&] { return arithmetic(random, sums_length, chain); });
        }
        case Task::cot:
            return make_batch(stage.rows,
                              [&] { return chain_of_thought(random, problems_in(stage)); });
        case Task::instruct:
            return make_batch(stage.rows, [&] { return instruction(random, problems_in(stage)); });
        case Task::retrieval:
        case Task::mix:
            break;
    }
    // Some texts are half as long: a length must not become a habit.
    const std::size_t length =
        random.below(5) == 0 ? std::max<std::size_t>(64, stage.length / 2) : stage.length;
    return make_batch(stage.rows, [&] { return draw_retrieval(random, length); });
}

}  // namespace

Task parse_task(std::string_view word) {
    for (const auto& [name, task] : task_names) {
        if (word == name) {
            return task;
        }
    }
    throw Error(ErrorKind::usage,
                format("synthetic task {} is not known, expected retrieval, lookup, arithmetic, "
                       "cot, instruct or mix",
                       in_quotes(word)));
}

std::string_view to_string(Task task) {
    for (const auto& [name, one] : task_names) {
        if (one == task) {
            return name;
        }
    }
    throw Error(ErrorKind::internal, "a synthetic task without a name");
}

Stage parse_stage(const std::string& word) {
    const std::vector<std::string> parts = split(word, 'x');
    std::array<std::uint64_t, 3> numbers{};
    bool is_stage = parts.size() == numbers.size();
    for (std::size_t i = 0; is_stage && i < numbers.size(); ++i) {
        const char* end = parts[i].data() + parts[i].size();
        const auto [rest, error] = std::from_chars(parts[i].data(), end, numbers.at(i));
        is_stage = error == std::errc{} && rest == end && numbers.at(i) < (1U << 24U);
    }
    if (!is_stage) {
        throw Error(ErrorKind::usage,
                    format("--stages has {}, expected STEPSxROWSxLENGTH", in_quotes(word)));
    }
    return {.steps = numbers[0], .rows = numbers[1], .length = numbers[2]};
}

SyntheticSource::SyntheticSource(Task task, std::vector<Stage> stages, std::uint64_t seed)
    : task_(task), stages_(std::move(stages)), seed_(seed) {
    for (const Stage& stage : stages_) {
        if (stage.steps == 0 || stage.rows == 0 || stage.length < shortest) {
            throw Error(ErrorKind::usage,
                        format("a stage of {} steps of {} rows of {} tokens; needed are at least "
                               "1, 1 and {}",
                               stage.steps,
                               stage.rows,
                               stage.length,
                               shortest));
        }
    }
    if (stages_.empty()) {
        throw Error(ErrorKind::usage, "synthetic data needs stages: steps, rows and length");
    }
}

std::uint64_t SyntheticSource::steps() const noexcept {
    std::uint64_t steps = 0;
    for (const Stage& stage : stages_) {
        steps += stage.steps;
    }
    return steps;
}

std::vector<Batch> SyntheticSource::batches(std::uint64_t step) const {
    std::uint64_t stage_end = 0;
    const Stage* current = &stages_.back();
    for (const Stage& stage : stages_) {
        stage_end += stage.steps;
        if (step < stage_end) {
            current = &stage;
            break;
        }
    }
    // Two rounds of mixing: neighbouring seeds and steps share nothing.
    Random random(Random(Random(seed_).next() ^ step).next());
    return {draw_batch(task_of_step(task_, step), *current, random)};
}

BatchSource::Size SyntheticSource::largest() const {
    Size largest;
    for (const Stage& stage : stages_) {
        const bool is_problem = task_ == Task::cot || task_ == Task::instruct;
        const std::size_t length = is_problem ? 1 + problems_in(stage) * problem_tokens
                                              : std::max(stage.length, std::size_t{74});
        if (stage.rows * length > largest.rows * largest.length) {
            largest = {.rows = stage.rows, .length = length};
        }
    }
    return largest;
}

}  // namespace anamnesis::train::synthetic
