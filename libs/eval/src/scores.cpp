// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/scores.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {
namespace {

/// Asks what `next` gives; every answer goes to `take`.
void ask_all(BackEnd& back_end,
             const NextItem& next,
             const std::function<void(const Question&, const Answer&)>& take,
             const Watch& watch) {
    std::string failure;
    back_end.answer(
        [&]() -> std::optional<Question> {
            std::optional<Item> item = next();
            return item ? std::optional(std::move(item->question)) : std::nullopt;
        },
        {.answered = take,
         .failed =
             [&](const Question& question, const std::string& reason) {
                 if (failure.empty()) {
                     failure =
                         format("question {} has no answer: {}", in_quotes(question.id), reason);
                 }
             }},
        watch.stop());
    throw_if_stopped(watch, [] { return std::string("interrupted while questions were asked"); });
    if (!failure.empty()) {
        throw Error(ErrorKind::unsupported, failure);
    }
}

}  // namespace

std::vector<Sample> make_samples(const std::vector<NiahSettings>& generators,
                                 std::size_t samples,
                                 NiahMaterials& materials,
                                 const Watch& watch) {
    std::vector<Sample> made;
    for (const NiahSettings& options : generators) {
        NiahGenerator generator(options, materials);
        for (std::size_t i = 0; i < samples; ++i) {
            throw_if_stopped(watch,
                             [] { return std::string("interrupted while questions were made"); });
            made.push_back(generator.next());
        }
    }
    return made;
}

std::vector<NeedleScore> score_needles(BackEnd& back_end,
                                       const std::vector<Sample>& samples,
                                       const NiahAsking& asking,
                                       const Watch& watch) {
    std::map<std::string, const Sample*> asked;
    std::size_t number = 0;
    const auto remember = [&](const Sample& /*copy*/, const Question& question) {
        asked.emplace(question.id, &samples[number++]);
    };
    std::vector<NeedleScore> scores;
    const auto find_or_add_score = [&](const Sample& sample) -> NeedleScore& {
        const auto found = std::ranges::find_if(scores, [&](const NeedleScore& score) {
            return score.task == sample.task && score.length == sample.length;
        });
        return found != scores.end()
                   ? *found
                   : scores.emplace_back(NeedleScore{.task = sample.task, .length = sample.length});
    };
    for (const Sample& sample : samples) {
        ++find_or_add_score(sample).samples;
    }
    std::map<std::string, double> verdicts;
    ask_all(
        back_end,
        niah_items(samples, asking, remember),
        [&](const Question& question, const Answer& answer) {
            verdicts[question.id] = judge_niah(*asked.at(question.id), answer).score;
        },
        watch);
    // Summed by id, not as answers came: the mean is the same, bit for bit, every time.
    for (const auto& [id, verdict] : verdicts) {
        find_or_add_score(*asked.at(id)).mean += verdict;
    }
    for (NeedleScore& score : scores) {
        score.mean /= static_cast<double>(score.samples);
    }
    return scores;
}

double score_problems(BackEnd& back_end,
                      const std::vector<Problem>& problems,
                      const ReasonAsking& asking,
                      const Watch& watch) {
    std::map<std::string, Problem> asked;
    const auto remember = [&](const Problem& problem, const Question& question) {
        asked.emplace(question.id, problem);
    };
    std::size_t right = 0;
    ask_all(
        back_end,
        reason_items(problems, asking, remember),
        [&](const Question& question, const Answer& answer) {
            const Problem& problem = asked.at(question.id);
            const bool is_cut = answer.finish == language::FinishReason::length;
            const grading::Grade grade = grading::grade_response(
                problem.task, problem.gold, answer.text, grading::response_end(is_cut));
            right += grade.is_correct ? 1U : 0U;
        },
        watch);
    return asked.empty() ? 0.0 : static_cast<double>(right) / static_cast<double>(asked.size());
}

}  // namespace anamnesis::eval
