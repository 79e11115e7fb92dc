// SPDX-License-Identifier: Apache-2.0
// 10,000 answers: the golden pairs over and over, bare and after a reasoning trace.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/grading/lm_eval_rules.hpp"
#include "anamnesis/eval/grading/task.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr std::size_t answer_count = 10'000;

struct Pair {
    ReasoningTask task = ReasoningTask::custom;
    std::string gold;
    std::string response;
};

/// `trace_bytes` of reasoning before each response.
std::vector<Pair> read_pairs(std::size_t trace_bytes) {
    std::string trace;
    while (trace.size() < trace_bytes) {
        trace += "Let $x_1 = \\frac{a}{b}$, so the answer is perhaps \\boxed{12}? Check {again}.\n";
    }
    std::vector<Pair> pairs;
    std::ifstream file(std::filesystem::path(ANAMNESIS_TESTDATA) / "scoring" / "pairs.jsonl");
    std::string text;
    while (std::getline(file, text)) {
        const Json line = Json::parse(text);
        pairs.push_back({parse_reasoning_task(line.at("task").as_string("task")),
                         line.at("gold").as_string("gold"),
                         trace + line.at("response").as_string("response")});
    }
    return pairs;
}

void grade_answers(benchmark::State& state) {
    const std::vector<Pair> pairs = read_pairs(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        for (std::size_t i = 0; i < answer_count; ++i) {
            const Pair& pair = pairs[i % pairs.size()];
            benchmark::DoNotOptimize(grade_response(pair.task, pair.gold, pair.response));
        }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(answer_count) * state.iterations());
}

void judge_by_lm_eval_rules(benchmark::State& state) {
    const std::vector<Pair> pairs = read_pairs(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        for (std::size_t i = 0; i < answer_count; ++i) {
            const Pair& pair = pairs[i % pairs.size()];
            benchmark::DoNotOptimize(lm_eval_verdicts(pair.task, pair.gold, pair.response));
        }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(answer_count) * state.iterations());
}

BENCHMARK(grade_answers)->Arg(0)->Arg(4'000)->Arg(32'000)->Unit(benchmark::kMillisecond);
BENCHMARK(judge_by_lm_eval_rules)->Arg(0)->Arg(4'000)->Arg(32'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace anamnesis::eval::grading
