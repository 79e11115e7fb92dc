// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/evaluation.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/value_text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/ruler/essay_corpus.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/eval/ruler/word_pairs.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/eval/scores.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

/// Pieces in which a prompt is read; a stop is seen between two of them.
constexpr std::size_t prefill_chunk = 512;
/// The same questions as `probe` and `niah` ask by default.
constexpr std::uint64_t synthetic_seed = 999;
constexpr std::uint64_t needle_seed = 42;
/// Of an answer, where the context has room for them.
constexpr std::size_t problem_tokens = 8192;
/// With less room most answers would be cut before they end.
constexpr std::size_t fewest_problem_tokens = 256;

[[noreturn]] void refuse_length(std::size_t length, const std::string& why) {
    throw Error(ErrorKind::usage, format("--eval-lengths has {}: {}", length, why));
}

Evaluate ask_synthetic(const EvaluationPlan& plan, const runtime::Network& network) {
    using synthetic::Needle;
    constexpr std::size_t shortest = synthetic::needle_tokens + synthetic::question_tokens + 1;
    for (const std::size_t length : plan.lengths) {
        if (length < shortest) {
            refuse_length(length, format("a needle and its question take {} tokens", shortest));
        }
        if (length > network.spec().context_length) {
            refuse_length(
                length,
                format("the context of the model is {} tokens", network.spec().context_length));
        }
    }
    return [plan, &network](const Watch& watch) {
        EvaluationFigures figures;
        constexpr std::array needles{
            std::pair{Needle::s1, "S1"}, std::pair{Needle::s2, "S2"}, std::pair{Needle::s3, "S3"}};
        for (const auto& [needle, name] : needles) {
            for (const std::size_t length : plan.lengths) {
                figures.recall.push_back(
                    {.task = name,
                     .length = length,
                     .percent = synthetic::recall(
                                    network, needle, length, plan.samples, synthetic_seed, watch)
                                    .percent()});
            }
        }
        figures.reasoning = {
            "cot", synthetic::reasoning(network, plan.samples, synthetic_seed, watch).percent()};
        return figures;
    };
}

/// A model over the network, and what it is asked in words.
class WordQuestions {
public:
    WordQuestions(const EvaluationPlan& plan,
                  const checkpoint::Checkpoint& checkpoint,
                  const runtime::Network& network,
                  const Watch& watch)
        : tokenizer_(language::Tokenizer::open(checkpoint.folder())),
          model_(runtime::HybridModel::borrow(network, checkpoint, prefill_chunk)) {
        if (plan.uses_chat_template) {
            form_.chat = language::ChatTemplate::open(checkpoint.folder(), "leave out --chat");
        }
        make_needles(plan, watch);
        if (plan.reasoning) {
            make_problems(*plan.reasoning, plan.samples, watch);
        }
    }

    EvaluationFigures ask(const Watch& watch) const {
        eval::EmbeddedBackEnd back_end(*model_, {.form = form_, .prefill_chunk = prefill_chunk});
        EvaluationFigures figures;
        for (const eval::NeedleScore& score :
             eval::score_needles(back_end, samples_, needle_asking_, watch)) {
            figures.recall.push_back(
                {.task = score.task, .length = score.length, .percent = 100.0 * score.mean});
        }
        if (!problems_.empty()) {
            figures.reasoning = {
                std::string(eval::to_string(problems_.front().task)),
                100.0 * eval::score_problems(back_end, problems_, problem_asking_, watch)};
        }
        return figures;
    }

private:
    std::size_t count_tokens(std::string_view text) const { return tokenizer_.encode(text).size(); }

    /// Tokens that a prompt and its answer take.
    std::size_t room_for(const eval::Question& question) const {
        return count_tokens(form_.render(question)) + question.max_new_tokens;
    }

    void make_needles(const EvaluationPlan& plan, const Watch& watch) {
        const eval::TokenCounter counter{
            .count = [this](std::string_view text) { return count_tokens(text); },
            .cuts_before_spaces = tokenizer_.cuts_before_spaces()};
        eval::NiahMaterials materials{.counter = counter,
                                      .words = eval::WordPairs::wonderwords(),
                                      .essays = eval::EssayCorpus::built_in(counter)};
        for (const std::size_t length : plan.lengths) {
            if (length > model_->context_length()) {
                refuse_length(
                    length,
                    format("the context of the model is {} tokens", model_->context_length()));
            }
            for (const char* task : {"s1", "s2", "s3"}) {
                const auto made = draw_samples(task, length, plan.samples, materials, watch);
                samples_.insert(samples_.end(), made.begin(), made.end());
            }
        }
        check_needles();
    }

    std::vector<eval::Sample> draw_samples(const char* task,
                                           std::size_t length,
                                           std::size_t count,
                                           eval::NiahMaterials& materials,
                                           const Watch& watch) const {
        const eval::NiahSettings options{.task = eval::niah_task(task),
                                         .length = length,
                                         .seed = needle_seed,
                                         .wrapper = std::string(eval::ruler_wrapper("base")),
                                         .tokens_to_generate = needle_asking_.max_new_tokens};
        try {
            return eval::make_samples({options}, count, materials, watch);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::usage) {
                throw;
            }
            refuse_length(length,
                          format("not even the shortest question of {} fits", options.task.name));
        }
    }

    /// Looks at the first sample of each task and length.
    void check_needles() const {
        std::set<std::pair<std::string, std::size_t>> checked;
        const auto check = [&](const eval::Sample& sample, const eval::Question& question) {
            if (!checked.emplace(sample.task, sample.length).second) {
                return;
            }
            if (room_for(question) > model_->context_length()) {
                refuse_length(sample.length,
                              format("{} takes {} tokens with its answer, the context of the "
                                     "model is {}",
                                     sample.task,
                                     room_for(question),
                                     model_->context_length()));
            }
            eval::check_needle(sample,
                               question,
                               needle_asking_.gives_prefix,
                               {.form = form_, .count_tokens = [this](std::string_view text) {
                                    return count_tokens(text);
                                }});
        };
        const eval::NextItem next = eval::niah_items(samples_, needle_asking_, check);
        while (next()) {
        }
    }

    /// Every answer may take the same number of tokens: what the longest problem leaves.
    void make_problems(const EvaluationPlan::Reasoning& reasoning,
                       std::size_t most,
                       const Watch& watch) {
        problems_ = in_context([] { return std::string("reading --eval-data"); },
                               [&] { return eval::read_problems(reasoning.data, reasoning.task); });
        problems_.resize(std::min(problems_.size(), most));
        const std::size_t context = model_->context_length();
        std::size_t room = problem_tokens;
        const auto check = [&](const eval::Problem& problem, const eval::Question& question) {
            const std::size_t taken = count_tokens(form_.render(question));
            if (taken + fewest_problem_tokens > context) {
                throw Error(ErrorKind::usage,
                            format("--eval-data: problem {} takes {} tokens, the context of the "
                                   "model is {}; an answer needs room for {}",
                                   in_quotes(problem.id),
                                   taken,
                                   context,
                                   fewest_problem_tokens));
            }
            room = std::min(room, context - taken);
        };
        const eval::NextItem next = eval::reason_items(problems_, problem_asking_, check);
        while (next()) {
        }
        if (room < problem_tokens) {
            watch.log(
                format("--eval-reason: answers of up to {} tokens, not {}: the longest "
                       "problem leaves no more of the model's context of {}",
                       room,
                       problem_tokens,
                       context));
        }
        problem_asking_.max_new_tokens = room;
    }

    language::Tokenizer tokenizer_;
    std::unique_ptr<runtime::HybridModel> model_;
    eval::PromptForm form_{};
    eval::NiahAsking needle_asking_{.asks_logprob = false};
    eval::ReasonAsking problem_asking_{.max_new_tokens = problem_tokens,
                                       .prompt = eval::ReasonPrompt::zero_shot()};
    std::vector<eval::Sample> samples_;
    std::vector<eval::Problem> problems_;
};

}  // namespace

Json to_json(const EvaluationFigures& figures) {
    Json json = Json::object();
    for (const EvaluationFigures::Recall& recall : figures.recall) {
        const Json* known = json.find(recall.task);
        Json lengths = known == nullptr ? Json::object() : *known;
        lengths.set(format("{}", recall.length), recall.percent);
        json.set(recall.task, std::move(lengths));
    }
    if (figures.reasoning) {
        json.set(figures.reasoning->first, figures.reasoning->second);
    }
    return json;
}

Evaluate make_evaluation(const EvaluationPlan& plan,
                         const checkpoint::Checkpoint& checkpoint,
                         const runtime::Network& network,
                         const Watch& watch) {
    refuse_repeated("--eval-lengths",
                    std::vector<std::uint64_t>(plan.lengths.begin(), plan.lengths.end()));
    if (network.spec().vocabulary_size == synthetic::words().size()) {
        return ask_synthetic(plan, network);
    }
    const fs::path& folder = checkpoint.folder();
    if (!language::Tokenizer::is_in(folder)) {
        throw Error(
            ErrorKind::unsupported,
            format("--eval-every asks in words; {} has no tokenizer.json and no other tokenizer",
                   in_quotes(folder.string(), 1000)));
    }
    const auto questions = std::make_shared<const WordQuestions>(plan, checkpoint, network, watch);
    return [questions](const Watch& asked) { return questions->ask(asked); };
}

}  // namespace anamnesis::train
