// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/compare_job.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/transport_trial.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/report/text_table.hpp"

namespace anamnesis::eval {
namespace {

using language::FinishReason;
using language::Generation;
using language::Sequence;
using language::TokenId;

/// Where an engine's answer leaves ours, and its token there.
struct Parting {
    std::size_t place = 0;
    std::optional<TokenId> engine_token{};  ///< absent: its answer has ended
};

/// Without U+FFFD: servers write bytes that make no character so, or leave them out.
std::string drop_unreadable(std::string text) {
    constexpr std::string_view replacement = "\xEF\xBF\xBD";
    for (std::size_t at = text.find(replacement); at != std::string::npos;
         at = text.find(replacement, at)) {
        text.erase(at, replacement.size());
    }
    return text;
}

std::optional<Parting> find_parting_by_ids(const Generation& ours, const Answer& engine) {
    for (std::size_t i = 0; i < std::max(ours.tokens.size(), engine.tokens.size()); ++i) {
        const std::optional<TokenId> theirs =
            i < engine.tokens.size() ? engine.tokens[i].id : std::nullopt;
        if (i >= ours.tokens.size() || theirs != ours.tokens[i]) {
            return Parting{.place = i, .engine_token = theirs};
        }
    }
    return std::nullopt;
}

std::optional<Parting> find_parting_by_text(const Generation& ours,
                                            const Answer& engine,
                                            const language::Tokenizer& tokenizer) {
    const std::string theirs = drop_unreadable(engine.text);
    std::string common;
    const auto part = [&](std::size_t place) {
        const auto rest = tokenizer.encode(theirs.substr(common.size()));
        return Parting{.place = place,
                       .engine_token = rest.empty() ? std::nullopt : std::optional(rest.front())};
    };
    for (std::size_t i = 0; i < ours.tokens.size(); ++i) {
        std::string text = drop_unreadable(tokenizer.decode(std::span(ours.tokens).first(i + 1)));
        if (!theirs.starts_with(text)) {
            return part(i);
        }
        common = std::move(text);
    }
    return theirs.size() > common.size() ? std::optional(part(ours.tokens.size())) : std::nullopt;
}

/// Tokens that end an answer are not part of it, whatever the engine says.
void drop_end(Answer& answer, const std::vector<TokenId>& ends) {
    while (!answer.tokens.empty() && answer.tokens.back().id &&
           std::ranges::find(ends, *answer.tokens.back().id) != ends.end()) {
        answer.tokens.pop_back();
    }
}

std::map<std::string, Answer> ask(BackEnd& engine,
                                  std::vector<Question> questions,
                                  const Watch& watch) {
    std::map<std::string, Answer> answers;
    std::size_t next = 0;
    engine.answer(
        [&]() -> std::optional<Question> {
            return next == questions.size() ? std::nullopt : std::optional(questions[next++]);
        },
        {.answered = [&](const Question& question,
                         const Answer& answer) { answers.emplace(question.id, answer); },
         .failed =
             [](const Question& question, const std::string& reason) {
                 throw Error(ErrorKind::io, format("no answer to {}: {}", question.id, reason));
             },
         .troubled =
             [&](const std::string& reason) {
                 watch.warn(format("questions are asked again: {}", reason));
             }},
        watch.stop());
    throw_if_stopped(watch, [] { return "interrupted"; });
    return answers;
}

class Comparer {
public:
    Comparer(language::LanguageModel& ours,
             const language::Tokenizer& tokenizer,
             const PromptForm& form,
             const Watch& watch)
        : ours_(ours), tokenizer_(tokenizer), form_(form), watch_(watch) {}

    ComparedAnswer compare(const Question& question, Answer engine) {
        const std::string prompt = form_.render(question);
        const std::vector<TokenId> tokens =
            form_.chat ? ours_.encode(prompt) : ours_.encode_beginning(prompt);
        const std::unique_ptr<Sequence> state = ours_.start();
        ours_.prefill(*state, tokens, {}, watch_.stop());
        const std::unique_ptr<Sequence> fork = state->fork();
        Sequence* const pointer = fork.get();
        const Generation own =
            ours_
                .generate({&pointer, 1},
                          {.max_new_tokens = question.max_new_tokens, .cancel = watch_.stop()})
                .front();
        throw_if_stopped(watch_, [] { return "interrupted"; });
        drop_end(engine, ours_.end_of_text());
        const bool has_ids = !engine.tokens.empty() &&
                             std::ranges::all_of(engine.tokens, [](const AnswerToken& token) {
                                 return token.id.has_value();
                             });
        ComparedAnswer result{
            .id = question.id, .prompt_tokens = tokens.size(), .equal_tokens = own.tokens.size()};
        const std::optional<Parting> parting = has_ids
                                                   ? find_parting_by_ids(own, engine)
                                                   : find_parting_by_text(own, engine, tokenizer_);
        if (parting && !is_cut(*parting, own, engine)) {
            look_closer(result, *state, own, engine, *parting);
        }
        return result;
    }

private:
    /// The shorter answer ended because its budget did, not by a choice.
    static bool is_cut(const Parting& parting, const Generation& own, const Answer& engine) {
        const bool ours_is_shorter = parting.place == own.tokens.size();
        return ours_is_shorter         ? own.finish == FinishReason::length
               : !parting.engine_token ? engine.finish == FinishReason::length
                                       : false;
    }

    void look_closer(ComparedAnswer& result,
                     const Sequence& state,
                     const Generation& own,
                     const Answer& engine,
                     const Parting& parting) {
        const std::span<const TokenId> common = std::span(own.tokens).first(parting.place);
        result.equal_tokens = parting.place;
        result.ours =
            describe(state,
                     common,
                     parting.place < own.tokens.size() ? std::optional(own.tokens[parting.place])
                                                       : std::nullopt);
        result.engines = describe(state, common, parting.engine_token);
        if (parting.place < engine.tokens.size()) {
            const AnswerToken& told = engine.tokens[parting.place];
            result.engines.engine_logprob = told.logprob;
            const auto ours = told.alternatives.find(result.ours.text);
            if (ours != told.alternatives.end()) {
                result.ours.engine_logprob = ours->second;
            }
        }
        const auto& [first, second] = std::pair(result.ours.logit, result.engines.logit);
        const bool is_tie = first && second &&
                            std::abs(*first - *second) <=
                                near_tie_margin(std::max(std::abs(*first), std::abs(*second)));
        result.agreement = is_tie ? Agreement::near_tie : Agreement::different;
    }

    ComparedToken describe(const Sequence& state,
                           std::span<const TokenId> common,
                           std::optional<TokenId> token) {
        ComparedToken result;
        if (token) {
            result.text = tokenizer_.decode(std::span(&*token, 1), language::SpecialTokens::keep);
        }
        for (const TokenId id : token ? std::vector{*token} : ours_.end_of_text()) {
            std::vector<TokenId> continuation(common.begin(), common.end());
            continuation.push_back(id);
            const language::TokenScore score = ours_.score(state, continuation).back();
            // Of several ends of text the likeliest is meant.
            if (!result.logit || score.logit > *result.logit) {
                result.id = id;
                result.logit = score.logit;
                result.logprob = score.logprob;
            }
        }
        return result;
    }

    language::LanguageModel& ours_;
    const language::Tokenizer& tokenizer_;
    const PromptForm& form_;
    const Watch& watch_;
};

Json token_json(const ComparedToken& token) {
    const auto optional = [](const auto& value) { return value ? Json(double{*value}) : Json(); };
    return Json::Object{{"text", token.text},
                        {"id", token.id ? Json(std::int64_t{*token.id}) : Json()},
                        {"logit", optional(token.logit)},
                        {"logprob", optional(token.logprob)},
                        {"engine_logprob", optional(token.engine_logprob)}};
}

std::vector<Question> make_questions(const CompareJob& job, const language::Tokenizer& tokenizer) {
    std::vector<Question> questions;
    for (std::size_t i = 0; i < job.prompts.size(); ++i) {
        questions.push_back({.id = format("prompt {}", i + 1),
                             .input = job.prompts[i],
                             .max_new_tokens = job.max_new_tokens});
    }
    if (!questions.empty()) {
        return questions;
    }
    NiahMaterials materials = make_materials(job.haystack, tokenizer);
    const NextItem next = niah_items(make_generators(job.haystack),
                                     job.haystack.samples,
                                     materials,
                                     {.max_new_tokens = job.max_new_tokens, .asks_logprob = false});
    while (std::optional<Item> item = next()) {
        questions.push_back(std::move(item->question));
    }
    return questions;
}

}  // namespace

double near_tie_margin(double logit) {
    constexpr int bits = 7;  // stored, of the significand
    const int exponent = logit == 0.0 ? 0 : std::max(0, std::ilogb(std::abs(logit)));
    return 2.0 * std::ldexp(1.0, exponent - bits);
}

std::size_t EngineComparison::count(Agreement agreement) const {
    return static_cast<std::size_t>(
        std::ranges::count(answers, agreement, &ComparedAnswer::agreement));
}

EngineComparison compare_engine(BackEnd& engine,
                                language::LanguageModel& ours,
                                const language::Tokenizer& tokenizer,
                                const PromptForm& form,
                                const std::vector<Question>& questions,
                                const Watch& watch) {
    EngineComparison comparison;
    std::vector<Question> asked = questions;
    for (Question& question : asked) {
        question.wants_tokens = true;
    }
    std::map<std::string, Answer> answers;
    try {
        answers = ask(engine, asked, watch);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::io) {
            throw;
        }
        comparison.notes.push_back("the engine tells no tokens and log-probabilities: " +
                                   error.message());
        answers = ask(engine, questions, watch);
    }
    Comparer comparer(ours, tokenizer, form, watch);
    watch.progress().begin("comparing", questions.size(), ProgressUnit::samples);
    for (const Question& question : questions) {
        comparison.answers.push_back(
            comparer.compare(question, std::move(answers.at(question.id))));
        watch.progress().advance(1);
    }
    watch.progress().finish();
    return comparison;
}

EngineComparison run_compare(const CompareJob& job,
                             language::LanguageModel& ours,
                             const language::Tokenizer& tokenizer,
                             const Watch& watch) {
    const std::vector<Question> questions = make_questions(job, tokenizer);
    EngineOpening opening{.trial = questions.front(), .watch = watch};
    opening.trial.max_new_tokens = 4;
    EndpointOptions endpoint = job.endpoint;
    endpoint.model_option = "--served";  // --model is the model here
    const EndpointOptions found = find_transport(endpoint, job.transport, &tokenizer, opening);
    if (found.transport == PromptTransport::chat && !found.form.chat) {
        throw Error(ErrorKind::usage,
                    "the server takes chats alone; give --chat, so that both read the same text");
    }
    const Engine engine = make_endpoint_engine(found, &tokenizer);
    EngineComparison comparison =
        compare_engine(*engine.back_end, ours, tokenizer, found.form, questions, watch);
    comparison.engine = engine.description;
    for (std::string& note : engine.back_end->list_notes()) {
        comparison.notes.push_back(std::move(note));
    }
    return comparison;
}

Json to_json(const EngineComparison& comparison) {
    Json answers = Json::array();
    for (const ComparedAnswer& answer : comparison.answers) {
        const bool is_equal = answer.agreement == Agreement::equal;
        answers.push_back(
            Json::Object{{"id", answer.id},
                         {"prompt_tokens", std::uint64_t{answer.prompt_tokens}},
                         {"equal_tokens", std::uint64_t{answer.equal_tokens}},
                         {"agreement", find_word(agreement_words, answer.agreement)},
                         {"ours", is_equal ? Json() : token_json(answer.ours)},
                         {"engines", is_equal ? Json() : token_json(answer.engines)}});
    }
    Json notes = Json::array();
    for (const std::string& note : comparison.notes) {
        notes.push_back(note);
    }
    return Json::Object{{"engine", comparison.engine},
                        {"prompts", std::uint64_t{comparison.answers.size()}},
                        {"equal", std::uint64_t{comparison.count(Agreement::equal)}},
                        {"near_ties", std::uint64_t{comparison.count(Agreement::near_tie)}},
                        {"different", std::uint64_t{comparison.count(Agreement::different)}},
                        {"answers", std::move(answers)},
                        {"notes", std::move(notes)}};
}

std::string to_text(const EngineComparison& comparison) {
    std::vector<std::vector<std::string>> rows;
    const auto number = [](const std::optional<double>& value) {
        return value ? format("{:.4f}", *value) : std::string("-");
    };
    const auto name = [](const ComparedToken& token) {
        return token.text.empty() ? std::string("the end") : in_quotes(token.text, 24);
    };
    for (const ComparedAnswer& answer : comparison.answers) {
        rows.push_back({answer.id,
                        format("{}", answer.prompt_tokens),
                        std::string(find_word(agreement_words, answer.agreement)),
                        format("{}", answer.equal_tokens)});
        if (answer.agreement != Agreement::equal) {
            rows.back().insert(rows.back().end(),
                               {name(answer.ours),
                                number(answer.ours.logit),
                                name(answer.engines),
                                number(answer.engines.logit),
                                number(answer.engines.engine_logprob)});
        } else {
            rows.back().resize(9);
        }
    }
    return report::text_table({"prompt",
                               ">tokens",
                               "answers",
                               ">equal tokens",
                               "ours",
                               ">logit",
                               "engine's",
                               ">logit",
                               ">engine ln p"},
                              rows) +
           format("{} equal, {} near ties, {} different\n",
                  comparison.count(Agreement::equal),
                  comparison.count(Agreement::near_tie),
                  comparison.count(Agreement::different));
}

}  // namespace anamnesis::eval
