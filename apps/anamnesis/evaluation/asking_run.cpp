// SPDX-License-Identifier: Apache-2.0
#include "evaluation/asking_run.hpp"

#include <algorithm>
#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/engine_check.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/evaluation.hpp"
#include "evaluation/live_table.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
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
              const AskingOptions& asking,
              const CommonOptions& common,
              const language::Tokenizer& tokenizer,
              Terminal& terminal,
              const OpenModel& open,
              const Watch& watch)
        : evaluation_(evaluation),
          asking_(asking),
          common_(common),
          tokenizer_(tokenizer),
          terminal_(terminal),
          open_(open),
          stop_(watch.stop()),
          shard_(asking.shard.empty() ? eval::Shard::from_environment().value_or(eval::Shard{})
                                      : eval::Shard::parse(asking.shard)),
          folder_(eval::RunFolder::open(asking.out, evaluation.settings(), shard_)) {}

    void run() {
        for (const AskedModel& model : asked_models(asking_)) {
            ask(model);
            if (stop_.stop_requested()) {
                throw Error(ErrorKind::cancelled,
                            format("interrupted; what was answered is in {}, and the same command "
                                   "goes on from there",
                                   in_quotes(asking_.out)));
            }
        }
        if (shard_.count > 1) {
            terminal_.say(format("shard {} of {} is done; 'anamnesis report {}' joins them",
                                 shard_.index + 1,
                                 shard_.count,
                                 asking_.out));
            return;
        }
        evaluation_.finish(terminal_);
    }

private:
    void ask(const AskedModel& model) {
        if (found(model.name) == ours()) {
            terminal_.say(
                format("{}: all {} answers are in {}", model.name, ours(), in_quotes(asking_.out)));
            return;
        }
        if (asking_.endpoint.empty() && asking_.how.tokenizer.empty()) {
            const eval::Question probe = evaluation_.short_questions().front();
            require_same_tokens(tokenizer_, model.place, probe.input + probe.answer_prefix);
        }
        Asked asked(model, asking_, common_, &tokenizer_, open_);
        folder_.describe(model.name, asked.description());
        if (asking_.check_engine) {
            check_engine(asked, model.name);
        }
        const eval::RunProgress progress = ask_items(asked, model.name);
        tell_economy(asked, model.name, progress);
        if (!progress.failures.empty()) {
            throw Error(ErrorKind::io,
                        format("{} of {} questions have no answer; the same command asks them "
                               "again. The first: {}",
                               progress.failures.size(),
                               ours(),
                               progress.failures.front()));
        }
    }

    /// Answers of a checkpoint that were in the folder at the start.
    std::size_t found(const std::string& name) {
        return static_cast<std::size_t>(
            std::ranges::count_if(folder_.results().lines(), [&](const Json& line) {
                return line.at("checkpoint").as_string("'checkpoint'") == name;
            }));
    }

    std::size_t ours() const {
        return (evaluation_.total() + shard_.count - 1 - shard_.index) / shard_.count;
    }

    /// The answer "no" ends the run.
    void check_engine(Asked& asked, const std::string& name) {
        bool is_sound = true;
        for (const eval::EngineCheck& check : eval::check_engine(asked.back_end(),
                                                                 evaluation_.short_questions(),
                                                                 evaluation_.long_questions(),
                                                                 stop_)) {
            terminal_.say(format("{}: {} {} ({})",
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

    eval::RunProgress ask_items(Asked& asked, const std::string& name) {
        const eval::NextItem next =
            evaluation_.start({.context_length = asked.back_end().context_length(),
                               .form = asked.form(),
                               .count_tokens = [this](std::string_view text) {
                                   return tokenizer_.encode(text).size();
                               }});
        LiveTable table(terminal_.is_quiet(), name, ours());
        std::size_t told = 0;
        const std::size_t before = found(name);
        return eval::run_items(
            asked.back_end(),
            name,
            next,
            folder_,
            shard_,
            [&](const Json& line) {
                const Evaluation::Place place = evaluation_.place_of(line);
                table.add(place.row, place.column, place.score, told++ >= before);
            },
            stop_);
    }

    void tell_economy(Asked& asked,
                      const std::string& name,
                      const eval::RunProgress& progress) const {
        if (const auto share = asked.back_end().busy_share()) {
            terminal_.say(format("{}: {:.1f} % of {} slots in use while questions were waiting",
                                 name,
                                 100.0 * *share,
                                 asking_.concurrency));
        }
        const auto saving = asked.back_end().saving();
        if (saving && saving->prefilled_tokens > 0 && progress.answered > 0) {
            terminal_.say(format("{}: {} prompt tokens answered, {} read: {:.2f} times fewer",
                                 name,
                                 with_separators(saving->prompt_tokens),
                                 with_separators(saving->prefilled_tokens),
                                 static_cast<double>(saving->prompt_tokens) /
                                     static_cast<double>(saving->prefilled_tokens)));
        }
    }

    Evaluation& evaluation_;
    const AskingOptions& asking_;
    const CommonOptions& common_;
    const language::Tokenizer& tokenizer_;
    Terminal& terminal_;
    const OpenModel& open_;
    std::stop_token stop_;
    eval::Shard shard_;
    eval::RunFolder folder_;
};

}  // namespace

void run_evaluation(Evaluation& evaluation,
                    const AskingOptions& asking,
                    const CommonOptions& common,
                    const language::Tokenizer& tokenizer,
                    Terminal& terminal,
                    const OpenModel& open,
                    const Watch& watch) {
    AskingRun(evaluation, asking, common, tokenizer, terminal, open, watch).run();
}

}  // namespace anamnesis::app
