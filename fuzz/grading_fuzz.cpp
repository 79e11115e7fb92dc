// SPDX-License-Identifier: Apache-2.0
// Input: a byte that chooses the task, the gold answer up to a line break, the response.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/grading/lm_eval_rules.hpp"
#include "anamnesis/eval/grading/task.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis::eval;
    using anamnesis::fuzz::expect;
    if (size == 0) {
        return 0;
    }
    const auto task = static_cast<ReasoningTask>(data[0] % 5U);
    const std::string_view text = anamnesis::fuzz::to_text(data + 1, size - 1);
    const std::size_t line_end = std::min(text.find('\n'), text.size());
    const std::string_view gold = text.substr(0, line_end);
    const std::string_view response = text.substr(std::min(line_end + 1, text.size()));

    const grading::Extraction extraction = grading::extract_answer(response, task);
    const grading::Grade grade = grading::grade_extraction(task, gold, extraction);
    expect(grade.is_correct == grading::is_correct(grade.reason), "verdict and reason agree");
    expect(!grade.is_correct || (!gold.empty() && !response.empty()), "nothing equals nothing");
    const grading::Grade again = grading::grade_response(task, gold, response);
    expect(again.reason == grade.reason, "the same answer gets the same verdict");

    const grading::Reason itself = grading::compare_answers(gold, gold, task);
    expect(grading::is_correct(itself) || itself == grading::Reason::no_gold,
           "an answer equals itself");
    grading::compare_answers(gold, response, task);
    grading::compare_answers(response, gold, task);
    grading::lm_eval_verdicts(task, gold, response);
    return 0;
}
