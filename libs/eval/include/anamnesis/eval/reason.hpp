// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// How problems become prompts.
struct ReasonPrompt {
    /// Text with `{question}` where the problem goes.
    std::string pattern = "{question}";
    std::vector<std::string> stop{};

    /// "… Please reason step by step, and put your final answer within \boxed{}."
    static ReasonPrompt zero_shot();

    /// Worked examples before the question, in the form of lm-evaluation-harness's gsm8k
    /// ("Question: …\nAnswer: …"), drawn from `train` by the seed.
    /// Errors: `usage` where `train` has fewer, or problems without a solution.
    static ReasonPrompt few_shot(const std::vector<Problem>& train,
                                 std::size_t shots,
                                 std::uint64_t seed);

    /// Errors: `malformed` without `{question}`.
    static ReasonPrompt own(std::string pattern);

    std::string render(const Problem& problem) const;
};

struct ReasonAsking {
    std::size_t samples = 1;  ///< of each problem
    language::Sampling sampling{};
    std::uint64_t seed = 0;
    std::size_t max_new_tokens = 8192;
    ReasonPrompt prompt{};
};

/// The seed of one sample: of the run's seed, the problem and the sample's number alone.
std::uint64_t sample_seed(std::uint64_t run_seed, std::string_view problem, std::size_t sample);

using OnProblem = std::function<void(const Problem&, const Question&)>;

/// Every problem `samples` times.
/// Errors: `usage` for several samples at temperature 0: they would be the same.
NextItem reason_items(std::vector<Problem> problems,
                      const ReasonAsking& asking,
                      const OnProblem& on_problem = {});

/// A line of results, read back.
struct ReasonResult {
    std::string checkpoint;
    std::string problem;
    ReasoningTask task = ReasoningTask::custom;
    std::size_t sample = 0;
    bool is_correct = false;
    grading::Reason reason = grading::Reason::no_answer;
    bool is_truncated = false;
    std::size_t new_tokens = 0;
    std::string gold{};
    std::string extracted{};
    std::string response{};
    std::string question{};  ///< the end of it
};

/// Errors: `malformed`, naming the field.
ReasonResult read_reason_result(const Json& line);

}  // namespace anamnesis::eval
