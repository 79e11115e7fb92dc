// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/engine_check.hpp"

#include <algorithm>
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
#include "anamnesis/eval/divergence.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

/// By the id of the question.
using Texts = std::map<std::string, std::string>;

class Checker {
public:
    Checker(BackEnd& back_end, const language::Tokenizer& tokenizer, const std::stop_token& cancel)
        : back_end_(back_end), tokenizer_(tokenizer), cancel_(cancel) {}

    Texts ask_one_by_one(const std::vector<Question>& questions, CacheUse cache) {
        Texts texts;
        for (const Question& question : questions) {
            texts.merge(ask_together({question}, cache));
        }
        return texts;
    }

    Texts ask_together(std::vector<Question> questions, CacheUse cache) {
        ++round_;
        std::map<std::string, std::string> ids;
        for (Question& question : questions) {
            // The id is the salt of a cold cache: each round has its own.
            const std::string own = format("{}/{}", question.id, round_);
            ids.emplace(own, std::exchange(question.id, own));
            question.cache = cache;
        }
        Texts texts;
        for (auto& [own, text] : ask(std::move(questions), true)) {
            texts.emplace(ids.at(own), std::move(text));
        }
        return texts;
    }

    /// The first half of each prompt is asked before it, whatever the answer.
    Texts ask_in_pieces(const std::vector<Question>& questions) {
        Texts texts;
        for (const Question& question : questions) {
            Question half = question;
            half.id += "/half";
            half.input.resize(
                std::min(half.input.size(), half.input.find(' ', half.input.size() / 2)));
            half.answer_prefix.clear();
            half.max_new_tokens = 1;
            half.cache = CacheUse::allowed;
            Question whole = question;
            whole.cache = CacheUse::allowed;
            // An engine in this process finds what prompts share within one call, a server later.
            ask({half}, false);
            Texts both = ask({half, whole}, false);
            if (!both.contains(whole.id)) {
                throw Error(ErrorKind::io, format("{} has no answer", whole.id));
            }
            texts.emplace(whole.id, std::move(both.at(whole.id)));
        }
        return texts;
    }

    EngineCheck same(std::string name, const Texts& first, const Texts& second) const {
        std::size_t differing = 0;
        std::string detail;
        for (const auto& [id, text] : first) {
            const auto divergence = find_divergence(split_into_tokens(tokenizer_, text),
                                                    split_into_tokens(tokenizer_, second.at(id)));
            if (divergence && differing++ == 0) {
                detail = format("{}, {}", id, to_text(*divergence));
            }
        }
        return {
            .name = std::move(name),
            .is_passed = differing == 0,
            .detail = differing == 0
                          ? format("{} of {} answers equal", first.size(), first.size())
                          : format("{} of {} answers differ; {}", differing, first.size(), detail)};
    }

private:
    Texts ask(std::vector<Question> questions, bool must_answer) {
        Texts texts;
        std::size_t next = 0;
        const auto draw = [&]() -> std::optional<Question> {
            return next == questions.size() ? std::nullopt : std::optional(questions[next++]);
        };
        back_end_.answer(
            draw,
            {.answered = [&](const Question& question,
                             const Answer& answer) { texts[question.id] = answer.text; },
             .failed =
                 [must_answer](const Question& question, const std::string& reason) {
                     if (must_answer) {
                         throw Error(ErrorKind::io,
                                     format("{} has no answer: {}", question.id, reason));
                     }
                 }},
            cancel_);
        if (cancel_.stop_requested()) {
            throw Error(ErrorKind::cancelled, "interrupted while the engine was checked");
        }
        return texts;
    }

    BackEnd& back_end_;
    const language::Tokenizer& tokenizer_;
    const std::stop_token& cancel_;
    std::size_t round_ = 0;
};

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
                                      const language::Tokenizer& tokenizer,
                                      const std::stop_token& cancel) {
    Checker checker(back_end, tokenizer, cancel);
    const Texts alone = checker.ask_one_by_one(shorts, CacheUse::forbidden);
    const Texts again = checker.ask_one_by_one(shorts, CacheUse::forbidden);
    const Texts together = checker.ask_together(shorts, CacheUse::forbidden);
    checker.ask_one_by_one(shorts, CacheUse::allowed);
    const Texts warm = checker.ask_one_by_one(shorts, CacheUse::allowed);
    const Texts in_pieces = checker.ask_in_pieces(shorts);
    std::vector<EngineCheck> checks{
        checker.same("the same prompt twice gives the same answer", alone, again),
        checker.same("an answer does not depend on what is asked beside it", alone, together),
        checker.same("a warm cache gives the answers of a cold one", alone, warm),
        checker.same(
            "prompts read in pieces get the answers of prompts read whole", alone, in_pieces),
        sound("answers to short prompts are no loops", alone)};
    if (!longs.empty()) {
        const Texts at_length = checker.ask_one_by_one(longs, CacheUse::forbidden);
        const Texts warm_at_length = checker.ask_one_by_one(longs, CacheUse::allowed);
        checks.push_back(checker.same(
            "the same long prompt twice gives the same answer", at_length, warm_at_length));
        checks.push_back(sound("answers to long prompts are no loops", at_length));
    }
    return checks;
}

}  // namespace anamnesis::eval
