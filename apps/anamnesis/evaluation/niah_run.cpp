// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/asking_run.hpp"
#include "evaluation/evaluation.hpp"
#include "evaluation/haystacks.hpp"
#include "evaluation/lengths.hpp"
#include "evaluation/report_files.hpp"
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

class NiahEvaluation final : public Evaluation {
public:
    NiahEvaluation(const NiahOptions& options, const language::Tokenizer& tokenizer)
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

    std::size_t total() const override { return total_; }

    eval::NextItem start(const eval::PreflightFacts& facts) override {
        const eval::NiahAsking asking{.max_new_tokens = options_.asking.max_tokens,
                                      .gives_prefix = !options_.no_prefix,
                                      .asks_logprob = !options_.no_logprobs};
        const auto check = [this, facts, checked = std::set<std::pair<std::string, std::size_t>>()](
                               const eval::Sample& sample, const eval::Question& question) mutable {
            if (checked.emplace(sample.task, sample.length).second) {
                eval::check_needle(sample, question, !options_.no_prefix, facts);
            }
        };
        return generators_.empty()
                   ? eval::niah_items(read_, asking, check)
                   : eval::niah_items(
                         generators_, options_.haystack.samples, materials_, asking, check);
    }

    Place place_of(const Json& line) const override {
        return {.row = line.at("task").as_string("'task'"),
                .column = short_length(line.at("length").as_unsigned("'length'")),
                .score = line.at("score").as_double("'score'")};
    }

    std::vector<eval::Question> short_questions() override {
        constexpr std::size_t shortest = 1024;
        return questions(std::min(shortest, longest()), 4);
    }
    std::vector<eval::Question> long_questions() override { return questions(longest(), 1); }

    void finish(Terminal& terminal) override {
        write_reports({options_.asking.out}, "", "", options_.common, terminal);
    }

    Json settings() const override {
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

    const NiahOptions& options_;
    eval::NiahMaterials materials_;
    std::vector<eval::NiahOptions> generators_;
    std::vector<eval::Sample> read_;
    std::size_t total_ = 0;
};

}  // namespace

int run(const NiahOptions& options, Terminal& terminal, const OpenModel& open, const Watch& watch) {
    const NiahOptions complete = completed(options);
    const auto tokenizer =
        language::Tokenizer::open(tokenizer_folder(complete.asking, asked_models(complete.asking)));
    NiahEvaluation evaluation(complete, tokenizer);
    run_evaluation(evaluation, complete.asking, complete.common, tokenizer, terminal, open, watch);
    return 0;
}

}  // namespace anamnesis::app
