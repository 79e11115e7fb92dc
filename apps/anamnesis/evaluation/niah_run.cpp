// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/engine_check.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/evaluation.hpp"
#include "evaluation/haystacks.hpp"
#include "evaluation/lengths.hpp"
#include "evaluation/live_table.hpp"
#include "evaluation/niah_report.hpp"
#include "interrupt.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

/// The defaults that depend on nothing else.
NiahOptions completed(NiahOptions options) {
    if (options.prompts.empty() && options.haystack.tasks.empty()) {
        options.haystack.tasks = {"s1", "s2", "s3"};
    }
    if (options.prompts.empty() && options.haystack.lengths.empty()) {
        throw Error(ErrorKind::usage, "no --lengths; give 4k,8k or 4k..256k");
    }
    if (!options.prompts.empty() &&
        (!options.haystack.tasks.empty() || !options.haystack.lengths.empty())) {
        throw Error(ErrorKind::usage,
                    "--prompts brings its own tasks and lengths; leave out --tasks and --lengths");
    }
    if (options.asking.max_tokens == 0) {
        options.asking.max_tokens = static_cast<std::uint32_t>(options.haystack.tokens_to_generate);
    }
    return options;
}

/// The samples of a run, which can be started anew for every checkpoint.
class Samples {
public:
    Samples(const NiahOptions& options, const language::Tokenizer& tokenizer)
        : options_(options), materials_(materials_of(options.haystack, tokenizer)) {
        if (options.prompts.empty()) {
            generators_ = generators_of(options.haystack);
            total_ = generators_.size() * options.haystack.samples;
        } else {
            const std::string name = std::filesystem::path(options.prompts).stem().string();
            read_ = eval::read_ruler_prompts(options.prompts, name);
            total_ = read_.size();
        }
    }

    eval::NextItem start(const eval::OnSample& on_sample) {
        const eval::NiahAsking asking{.max_new_tokens = options_.asking.max_tokens,
                                      .gives_prefix = !options_.no_prefix,
                                      .asks_logprob = !options_.no_logprobs};
        return generators_.empty()
                   ? eval::niah_items(read_, asking, on_sample)
                   : eval::niah_items(
                         generators_, options_.haystack.samples, materials_, asking, on_sample);
    }

    std::size_t total() const { return total_; }

    /// Prompts that a check of the engine asks: short ones, and one of the longest.
    std::vector<eval::Question> questions(std::size_t length, std::size_t count) {
        std::vector<eval::Question> questions;
        eval::NextItem next = eval::niah_items(
            {eval::NiahOptions{.task = eval::niah_task("s1"),
                               .length = length,
                               .seed = options_.haystack.seed,
                               .tokens_to_generate = options_.haystack.tokens_to_generate}},
            count,
            materials_,
            {.max_new_tokens = options_.asking.max_tokens, .asks_logprob = false});
        while (std::optional<eval::Item> item = next()) {
            questions.push_back(std::move(item->question));
        }
        return questions;
    }

    std::size_t longest() const {
        std::size_t length = 0;
        for (const eval::NiahOptions& generator : generators_) {
            length = std::max(length, generator.length);
        }
        for (const eval::Sample& sample : read_) {
            length = std::max(length, sample.length);
        }
        return length;
    }

    Json settings() const {
        const HaystackOptions& haystack = options_.haystack;
        Json tasks = Json::array();
        std::set<std::string> seen;
        for (const eval::NiahOptions& generator : generators_) {
            if (seen.insert(std::string(generator.task.name)).second) {
                tasks.push_back(generator.task.name);
            }
        }
        Json lengths = Json::array();
        for (const std::size_t length : lengths_of(haystack.lengths)) {
            lengths.push_back(std::uint64_t{length});
        }
        const bool is_rulers = !haystack.essays.empty() || !options_.prompts.empty();
        Json settings = Json::Object{{"kind", "niah"},
                                     {"tasks", std::move(tasks)},
                                     {"lengths", std::move(lengths)},
                                     {"samples", haystack.samples},
                                     {"seed", haystack.seed},
                                     {"depths", std::uint64_t{haystack.depths}},
                                     {"template", haystack.wrapper},
                                     {"tokens_to_generate", haystack.tokens_to_generate},
                                     {"max_tokens", std::uint64_t{options_.asking.max_tokens}},
                                     {"answer_prefix", !options_.no_prefix},
                                     {"chat", options_.asking.chat},
                                     {"essays", materials_.essays.name()},
                                     {"essays_sha256", materials_.essays.digest()}};
        if (!options_.prompts.empty()) {
            settings.set("prompts", options_.prompts);
            settings.set("prompts_sha256", sha256_of(io::read_text(options_.prompts, 8ULL << 30U)));
        }
        settings.set("comparable",
                     is_rulers && haystack.depths == 0
                         ? "Prompts are RULER's for these essays."
                         : "RULER-style: own haystack or own depths, not comparable with "
                           "published figures.");
        return settings;
    }

private:
    const NiahOptions& options_;
    eval::NiahMaterials materials_;
    std::vector<eval::NiahOptions> generators_;
    std::vector<eval::Sample> read_;
    std::size_t total_ = 0;
};

/// Tells whether the engine can be trusted; the answer "no" ends the run.
void check_engine(Asked& asked,
                  const std::string& name,
                  Samples& samples,
                  Terminal& terminal,
                  const std::stop_token& stop) {
    constexpr std::size_t short_length = 1024;
    constexpr std::size_t short_count = 4;
    const std::size_t longest = samples.longest();
    const auto checks =
        eval::check_engine(asked.back_end(),
                           samples.questions(std::min(short_length, longest), short_count),
                           samples.questions(longest, 1),
                           stop);
    bool is_sound = true;
    for (const eval::EngineCheck& check : checks) {
        terminal.say(format(
            "{}: {} {} ({})", name, check.is_passed ? "ok  " : "FAIL", check.name, check.detail));
        is_sound = is_sound && check.is_passed;
    }
    if (!is_sound) {
        throw Error(ErrorKind::mismatch,
                    format("the engine of {} fails its check: what it answers says nothing of the "
                           "weights",
                           in_quotes(name)));
    }
}

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

class NiahRun {
public:
    NiahRun(const NiahOptions& options, Terminal& terminal, const OpenModel& open)
        : options_(options),
          terminal_(terminal),
          open_(open),
          stop_(stop_on_signal()),
          models_(asked_models(options.asking)),
          tokenizer_(language::Tokenizer::open(tokenizer_folder(options.asking, models_))),
          samples_(options_, tokenizer_),
          shard_(options.asking.shard.empty()
                     ? eval::Shard::from_environment().value_or(eval::Shard{})
                     : eval::Shard::parse(options.asking.shard)),
          folder_(eval::RunFolder::open(options.asking.out, samples_.settings(), shard_)) {}

    int run() {
        for (const AskedModel& model : models_) {
            ask(model);
            if (stop_.stop_requested()) {
                throw Error(ErrorKind::cancelled,
                            format("interrupted; what was answered is in {}, and the same command "
                                   "goes on from there",
                                   in_quotes(options_.asking.out)));
            }
        }
        if (shard_.count > 1) {
            terminal_.say(format("shard {} of {} is done; 'anamnesis report {}' joins them",
                                 shard_.index + 1,
                                 shard_.count,
                                 options_.asking.out));
            return 0;
        }
        const NiahFindings findings = read_niah_findings(options_.asking.out, "", "");
        write_reports(findings, options_.asking.out);
        if (options_.common.json) {
            terminal_.result(to_json(findings).dump(2) + "\n");
        }
        terminal_.say(to_text(findings) + format("report: {}/report.html", options_.asking.out));
        return 0;
    }

private:
    void ask(const AskedModel& model) {
        if (found(model.name) == ours()) {
            terminal_.say(format("{}: all {} samples are in {}",
                                 model.name,
                                 samples_.total(),
                                 in_quotes(options_.asking.out)));
            return;
        }
        if (options_.asking.endpoint.empty() && options_.asking.how.tokenizer.empty()) {
            const std::vector<eval::Question> probe = samples_.questions(1024, 1);
            require_same_tokens(
                tokenizer_, model.place, probe.front().input + probe.front().answer_prefix);
        }
        Asked asked(model, options_.asking, options_.common, &tokenizer_, open_);
        folder_.describe(model.name, asked.description());
        if (options_.asking.check_engine) {
            check_engine(asked, model.name, samples_, terminal_, stop_);
        }
        const eval::RunProgress progress = run_samples(asked, model.name);
        tell(asked, model.name, progress);
        if (!progress.failures.empty()) {
            throw Error(ErrorKind::io,
                        format("{} of {} questions have no answer; the same command asks them "
                               "again. The first: {}",
                               progress.failures.size(),
                               samples_.total(),
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
        return (samples_.total() + shard_.count - 1 - shard_.index) / shard_.count;
    }

    eval::RunProgress run_samples(Asked& asked, const std::string& name) {
        const eval::PreflightFacts facts{.context_length = asked.back_end().context_length(),
                                         .gives_prefix = !options_.no_prefix,
                                         .max_new_tokens = options_.asking.max_tokens,
                                         .form = asked.form(),
                                         .count_tokens = [this](std::string_view text) {
                                             return tokenizer_.encode(text).size();
                                         }};
        std::set<std::pair<std::string, std::size_t>> checked;
        const eval::NextItem next =
            samples_.start([&](const eval::Sample& sample, const eval::Question& question) {
                if (checked.emplace(sample.task, sample.length).second) {
                    eval::check_before_run(sample, question, facts);
                }
            });
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
                table.add(line.at("task").as_string("'task'"),
                          short_length(line.at("length").as_unsigned("'length'")),
                          line.at("score").as_double("'score'"),
                          told++ >= before);
            },
            stop_);
    }

    void tell(Asked& asked, const std::string& name, const eval::RunProgress& progress) const {
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

    NiahOptions options_;
    Terminal& terminal_;
    const OpenModel& open_;
    std::stop_token stop_;
    std::vector<AskedModel> models_;
    language::Tokenizer tokenizer_;
    Samples samples_;
    eval::Shard shard_;
    eval::RunFolder folder_;
};

}  // namespace

int run(const NiahOptions& options, Terminal& terminal, const OpenModel& open) {
    const NiahOptions complete = completed(options);
    return NiahRun(complete, terminal, open).run();
}

}  // namespace anamnesis::app
