// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/engine_check.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/answer_checks.hpp"
#include "anamnesis/eval/back_end.hpp"

namespace anamnesis::eval {
namespace {

using Texts = std::map<std::string, std::string>;

Texts ask(BackEnd& back_end,
          const std::vector<Question>& questions,
          const std::stop_token& cancel) {
    Texts texts;
    std::size_t next = 0;
    const auto draw = [&]() -> std::optional<Question> {
        if (next == questions.size()) {
            return std::nullopt;
        }
        return questions[next++];
    };
    back_end.answer(draw,
                    {.answered = [&](const Question& question,
                                     const Answer& answer) { texts[question.id] = answer.text; },
                     .failed =
                         [](const Question& question, const std::string& reason) {
                             throw Error(ErrorKind::io,
                                         format("{} has no answer: {}", question.id, reason));
                         }},
                    cancel);
    if (cancel.stop_requested()) {
        throw Error(ErrorKind::cancelled, "interrupted while the engine was checked");
    }
    return texts;
}

Texts ask_one_by_one(BackEnd& back_end,
                     const std::vector<Question>& questions,
                     const std::stop_token& cancel) {
    Texts texts;
    for (const Question& question : questions) {
        texts.merge(ask(back_end, {question}, cancel));
    }
    return texts;
}

EngineCheck same(std::string name, const Texts& first, const Texts& second) {
    for (const auto& [id, text] : first) {
        const std::string& other = second.at(id);
        if (text != other) {
            return {
                .name = std::move(name),
                .is_passed = false,
                .detail = format("{}: {} and {}", id, in_quotes(text, 60), in_quotes(other, 60))};
        }
    }
    return {.name = std::move(name),
            .is_passed = true,
            .detail = format("{} of {} answers equal", first.size(), first.size())};
}

EngineCheck sound(std::string name, const Texts& texts) {
    for (const auto& [id, text] : texts) {
        if (text.empty() || is_degenerate(text)) {
            return {.name = std::move(name),
                    .is_passed = false,
                    .detail = format("{}: {}", id, in_quotes(text, 60))};
        }
    }
    return {
        .name = std::move(name), .is_passed = true, .detail = format("{} answers", texts.size())};
}

}  // namespace

std::vector<EngineCheck> check_engine(BackEnd& back_end,
                                      const std::vector<Question>& shorts,
                                      const std::vector<Question>& longs,
                                      const std::stop_token& cancel) {
    const Texts alone = ask_one_by_one(back_end, shorts, cancel);
    const Texts again = ask_one_by_one(back_end, shorts, cancel);
    const Texts together = ask(back_end, shorts, cancel);
    const Texts at_length = ask_one_by_one(back_end, longs, cancel);
    return {same("the same prompt twice gives the same answer", alone, again),
            same("an answer does not depend on what is asked beside it", alone, together),
            sound("answers to short prompts are no loops", alone),
            sound("answers to long prompts are no loops", at_length)};
}

}  // namespace anamnesis::eval
