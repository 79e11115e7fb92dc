// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/asking_job.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/engine_check.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation.hpp"
#include "repeats.hpp"
#include "unknown_tokens.hpp"

namespace anamnesis::eval {
namespace {

/// The same prompts must be the same tokens to every checkpoint.
void require_same_tokens(const language::Tokenizer& first,
                         const std::string& folder,
                         const std::string& text) {
    const auto own = language::Tokenizer::open(folder);
    if (own.encode(text) != first.encode(text)) {
        throw Error(ErrorKind::mismatch,
                    format("the tokenizer of {} reads the prompts as other tokens than the first "
                           "checkpoint's; measure it in a run of its own, or give --tokenizer",
                           in_quotes(folder)));
    }
}

class AskingRun {
public:
    AskingRun(Evaluation& evaluation,
              const AskingJob& job,
              Scoreboard& scoreboard,
              const Watch& watch)
        : evaluation_(evaluation),
          job_(job),
          scoreboard_(scoreboard),
          watch_(watch),
          folder_(RunFolder::open(job.out, make_settings(evaluation, job), job.shard)) {}

    EvaluationReport run() {
        try {
            return ask_all();
        } catch (...) {
            folder_.discard_unanswered();
            throw;
        }
    }

private:
    static Json make_settings(Evaluation& evaluation, const AskingJob& job) {
        Json settings = evaluation.settings();
        if (job.asks_twice) {
            settings.set("twice", true);
        }
        if (!job.running.is_null()) {
            settings.set("running", job.running);
        }
        return settings;
    }

    EvaluationReport ask_all() {
        for (const std::string& note : job_.tokenizer->list_notes()) {
            watch_.warn(note);
        }
        for (const std::string& note : evaluation_.list_notes()) {
            watch_.warn(note);
        }
        expect_same_files();
        for (const AskedModel& model : job_.models) {
            if (job_.are_served && !is_answered(model.name)) {
                engines_.emplace(model.name, open(model));
            }
        }
        for (const AskedModel& model : job_.models) {
            ask(model);
            throw_if_stopped(watch_, [this] {
                return format(
                    "interrupted; what was answered is in {}, and the same command goes "
                    "on from there",
                    in_quotes(job_.out.string()));
            });
        }
        if (job_.shard.count > 1) {
            watch_.log(format("shard {} of {} is done; 'anamnesis report {}' joins them",
                              job_.shard.index + 1,
                              job_.shard.count,
                              job_.out.string()));
            return {.json = describe_part().dump(2) + "\n"};
        }
        return write_reports({.folders = {job_.out}});
    }

    Json describe_part() const {
        Json checkpoints = Json::object();
        for (const AskedModel& model : job_.models) {
            const auto asked = asked_.find(model.name);
            checkpoints.set(
                model.name,
                Json::Object{{"answers", std::uint64_t{count_ours()}},
                             {"new", std::uint64_t{asked == asked_.end() ? 0 : asked->second}}});
        }
        return Json::Object{{"shard", std::uint64_t{job_.shard.index + 1}},
                            {"shards", std::uint64_t{job_.shard.count}},
                            {"out", job_.out.string()},
                            {"checkpoints", std::move(checkpoints)}};
    }

    /// Before a model is loaded, and also of those that have nothing to answer any more: their
    /// answers are not reported as another checkpoint's. What a server runs is not seen.
    void expect_same_files() {
        for (const AskedModel& model : job_.models) {
            if (job_.are_served || folder_.find_description(model.name).find("digest") == nullptr) {
                continue;
            }
            // Weights may be gone once they have answered.
            if (!std::filesystem::exists(model.place) && is_answered(model.name)) {
                watch_.warn(
                    format("{} is no longer there: whether it gave the answers of {} was "
                           "not looked at",
                           in_quotes(model.place, 1000),
                           in_quotes(model.name)));
                continue;
            }
            folder_.expect_same(model.name, describe_files(model));
        }
    }

    void ask(const AskedModel& model) {
        if (is_answered(model.name)) {
            watch_.log(format("{}: all {} answers are in {}",
                              model.name,
                              count_ours(),
                              in_quotes(job_.out.string())));
            return;
        }
        if (job_.compares_tokenizers) {
            const Question probe = evaluation_.short_questions().front();
            require_same_tokens(*job_.tokenizer, model.place, probe.input + probe.answer_prefix);
        }
        const auto opened = engines_.extract(model.name);
        const Engine engine = opened.empty() ? open(model) : std::move(opened.mapped());
        folder_.describe(model.name, engine.description);
        if (job_.checks_engines) {
            require_sound_engine(*engine.back_end, model.name);
        }
        scoreboard_.begin(model.name, count_ours());
        RunProgress progress = ask_items(engine, model.name, Pass::first);
        if (job_.asks_twice && progress.failures.empty() && !watch_.is_stopped()) {
            progress = ask_items(engine, model.name, Pass::again);
        }
        scoreboard_.finish();
        log_economy(engine, model.name, progress);
        for (const std::string& note : engine.back_end->list_notes()) {
            watch_.warn(format("{}: {}", model.name, note));
        }
        if (!progress.failures.empty()) {
            throw Error(ErrorKind::io,
                        format("{} of {} questions have no answer; the same command asks them "
                               "again. The first: {}",
                               progress.failures.size(),
                               count_ours(),
                               progress.failures.front()));
        }
    }

    /// A run that goes on speaks to an engine as it did before.
    Engine open(const AskedModel& model) {
        EngineOpening opening{.trial = evaluation_.short_questions().front(), .watch = watch_};
        opening.trial.max_new_tokens = 4;
        opening.trial.sampling = evaluation_.sampling();
        if (count_found(model.name) + count_elsewhere(model.name) > 0) {
            opening.earlier = folder_.find_description(model.name);
        }
        return job_.open(model, opening);
    }

    static std::size_t count_lines(const std::vector<Json>& lines, const std::string& name) {
        return static_cast<std::size_t>(std::ranges::count_if(lines, [&](const Json& line) {
            return line.at("checkpoint").as_string("'checkpoint'") == name;
        }));
    }

    /// Answers of a model that this part of the run, and the others, held at the start.
    std::size_t count_found(const std::string& name) {
        return count_lines(folder_.results().lines(), name);
    }
    std::size_t count_elsewhere(const std::string& name) const {
        return count_lines(folder_.lines_of_other_parts(), name);
    }

    /// Where only some of the answers of other parts are ours, the questions alone tell.
    bool is_answered(const std::string& name) {
        const std::size_t found = count_found(name);
        return found == count_ours() || found + count_elsewhere(name) == count_all();
    }

    std::size_t count_all() const { return evaluation_.total() * (job_.asks_twice ? 2 : 1); }
    std::size_t count_ours() const {
        const std::size_t once =
            (evaluation_.total() + job_.shard.count - 1 - job_.shard.index) / job_.shard.count;
        return job_.asks_twice ? 2 * once : once;
    }

    void require_sound_engine(BackEnd& back_end, const std::string& name) {
        bool is_sound = true;
        for (const EngineCheck& check : check_engine(back_end,
                                                     evaluation_.short_questions(),
                                                     evaluation_.long_questions(),
                                                     *job_.tokenizer,
                                                     watch_.stop())) {
            watch_.log(format("{}: {} {} ({})",
                              name,
                              check.is_passed ? "ok  " : "FAIL",
                              check.name,
                              check.detail));
            is_sound = is_sound && check.is_passed;
        }
        if (!is_sound) {
            throw Error(ErrorKind::mismatch,
                        format("the engine of {} fails its check: what it answers says nothing of "
                               "the weights",
                               in_quotes(name)));
        }
    }

    enum class Pass : std::uint8_t { first, again };

    RunProgress ask_items(const Engine& engine, const std::string& name, Pass pass) {
        NextItem next = evaluation_.start(
            {.context_length = engine.back_end->context_length(),
             .form = engine.form,
             .count_tokens =
                 [this](std::string_view text) { return job_.tokenizer->encode(text).size(); },
             .is_served = job_.are_served});
        next = with_unknown_tokens(std::move(next), *job_.tokenizer);
        if (job_.asks_twice) {
            next = with_tokens(std::move(next), *job_.tokenizer);
            next = pass == Pass::again ? repeat_items(std::move(next)) : std::move(next);
        }
        const RunProgress progress = run_items(
            *engine.back_end,
            name,
            next,
            folder_,
            job_.shard,
            {.on_result =
                 [&](const Json& line, bool is_new) {
                     const Evaluation::Place place = evaluation_.find_place(line);
                     scoreboard_.add(place.row, place.column, place.score, is_new);
                 },
             .on_failure =
                 [&, told = 0](const std::string& failure) mutable {
                     constexpr int most_told = 3;
                     if (told++ < most_told) {
                         watch_.log(format("{}: no answer to {}", name, failure));
                     }
                 },
             .on_trouble =
                 [&](const std::string& reason) {
                     watch_.warn(format("{}: questions are asked again: {}", name, reason));
                 }},
            watch_.stop());
        asked_[name] += progress.answered;
        return progress;
    }

    void log_economy(const Engine& engine,
                     const std::string& name,
                     const RunProgress& progress) const {
        if (const auto share = engine.back_end->busy_share()) {
            watch_.log(format("{}: {:.1f} % of {} slots in use while questions were waiting",
                              name,
                              100.0 * *share,
                              engine.concurrency));
        }
        const auto saving = engine.back_end->saving();
        if (saving && saving->prefilled_tokens > 0 && progress.answered > 0) {
            watch_.log(format("{}: {} prompt tokens answered, {} read: {:.2f} times fewer",
                              name,
                              with_separators(saving->prompt_tokens),
                              with_separators(saving->prefilled_tokens),
                              static_cast<double>(saving->prompt_tokens) /
                                  static_cast<double>(saving->prefilled_tokens)));
        }
    }

    Evaluation& evaluation_;
    const AskingJob& job_;
    Scoreboard& scoreboard_;
    const Watch& watch_;
    RunFolder folder_;
    std::map<std::string, Engine> engines_;     ///< opened and not yet asked
    std::map<std::string, std::size_t> asked_;  ///< answers that came in this process
};

}  // namespace

EvaluationReport run_evaluation(Evaluation& evaluation,
                                const AskingJob& job,
                                Scoreboard& scoreboard,
                                const Watch& watch) {
    return AskingRun(evaluation, job, scoreboard, watch).run();
}

}  // namespace anamnesis::eval
