// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/niah_job.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
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
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/io/file.hpp"

#include "evaluation.hpp"

namespace anamnesis::eval {
namespace {

class NiahEvaluation final : public Evaluation {
public:
    explicit NiahEvaluation(const NiahJob& job)
        : job_(job), materials_(make_materials(job.haystack, *job.asking.tokenizer)) {
        if (job.prompts.empty()) {
            keep_possible(make_generators(job.haystack));
            total_ = generators_.size() * job.haystack.samples;
        } else {
            read_ = read_ruler_prompts(job.prompts, job.prompts.stem().string());
            find_lengths();
            total_ = read_.size();
        }
    }

    std::size_t total() const override { return total_; }

    std::vector<std::string> list_notes() const override {
        std::vector<std::string> notes;
        for (const LeftOut& one : left_out_) {
            notes.push_back("left out: " + one.reason);
        }
        return notes;
    }

    NextItem start(const PreflightFacts& given) override {
        PreflightFacts facts = given;
        facts.less = job_.prompts.empty() ? "--lengths, --max-tokens" : "--prompts, --max-tokens";
        const NiahAsking asking{.max_new_tokens = job_.max_new_tokens,
                                .gives_prefix = job_.gives_prefix,
                                .asks_logprob = job_.asks_logprob};
        // Of each task and length the first, and any that is longer than those before.
        const auto check =
            [this, facts, longest = std::map<std::pair<std::string, std::size_t>, std::size_t>()](
                const Sample& sample, const Question& question) mutable {
                const auto [place, is_first] = longest.try_emplace({sample.task, sample.length});
                if (is_first || sample.input.size() > place->second) {
                    place->second = sample.input.size();
                    check_needle(sample, question, job_.gives_prefix, facts);
                }
            };
        return generators_.empty()
                   ? niah_items(read_, asking, check)
                   : niah_items(generators_, job_.haystack.samples, materials_, asking, check);
    }

    Place find_place(const Json& line) const override {
        return {.row = line.at("task").as_string("'task'"),
                .column = short_length(line.at("length").as_unsigned("'length'")),
                .score = line.at("score").as_double("'score'")};
    }

    std::vector<Question> short_questions() override {
        constexpr std::size_t shortest = 1024;
        constexpr std::size_t count = 4;
        const std::size_t longest = find_longest();
        return read_.empty() || longest > shortest
                   ? make_questions(std::min(shortest, longest), count)
                   : take_questions(0, count);
    }
    std::vector<Question> long_questions() override {
        return read_.empty() ? make_questions(find_longest(), 1)
                             : take_questions(read_.size() - 1, 1);
    }

    Json settings() const override {
        Json settings = Json::Object{{"kind", "niah"}};
        if (job_.prompts.empty()) {
            describe_needles(settings);
        }
        settings.set("max_tokens", std::uint64_t{job_.max_new_tokens});
        settings.set("answer_prefix", job_.gives_prefix);
        settings.set("chat", job_.chat);
        if (!job_.asks_logprob) {
            settings.set("logprobs", false);
        }
        if (job_.prompts.empty()) {
            describe_haystacks(settings);
        } else {
            settings.set("prompts", job_.prompts.string());
            settings.set("prompts_sha256",
                         compute_sha256(io::read_text(job_.prompts, 8ULL << 30U)));
            settings.set(
                "comparable",
                "Prompts of a file: their haystack is not known, and so not what they can be "
                "compared with.");
        }
        return settings;
    }

private:
    /// A task that no prompt of a length can be made for.
    struct LeftOut {
        std::string what;
        std::string reason;
    };

    /// Why the samples of a generator cannot be made; nothing where they can. All are tried of
    /// short lengths, the first of others; beyond the longest that RULER's steps may miss, none.
    std::optional<std::string> find_obstacle(const NiahSettings& options) {
        constexpr std::size_t shortest = 1024;
        constexpr std::size_t longest = 8192;
        constexpr std::uint64_t first = 3;
        if (options.length > longest + options.tokens_to_generate) {
            return std::nullopt;
        }
        const std::uint64_t tried = options.length <= shortest
                                        ? job_.haystack.samples
                                        : std::min(first, job_.haystack.samples);
        try {
            NiahGenerator generator(options, materials_);
            for (std::uint64_t i = 0; i < tried; ++i) {
                static_cast<void>(generator.next());
            }
        } catch (const Error& error) {
            if (!error.message().starts_with("no sample of")) {
                throw;
            }
            return error.message();
        }
        return std::nullopt;
    }

    /// One task that a length has no room for does not stop the others.
    /// Errors: `usage` where nothing is left.
    void keep_possible(std::vector<NiahSettings> generators) {
        for (NiahSettings& generator : generators) {
            const auto reason = find_obstacle(generator);
            if (!reason) {
                generators_.push_back(std::move(generator));
                continue;
            }
            const std::string what =
                format("{} at {}", generator.task.name, short_length(generator.length));
            if (left_out_.empty() || left_out_.back().what != what) {
                left_out_.push_back({.what = what, .reason = format("{}: {}", what, *reason)});
            }
        }
        if (generators_.empty()) {
            throw Error(ErrorKind::usage, left_out_.front().reason);
        }
    }

    /// Which prompts are made.
    void describe_needles(Json& settings) const {
        const HaystackPlan& haystack = job_.haystack;
        Json tasks = Json::array();
        std::set<std::string> seen;
        for (const NiahSettings& generator : generators_) {
            if (seen.insert(std::string(generator.task.name)).second) {
                tasks.push_back(generator.task.name);
            }
        }
        Json lengths = Json::array();
        for (const std::size_t length : haystack.lengths) {
            lengths.push_back(std::uint64_t{length});
        }
        settings.set("tasks", std::move(tasks));
        settings.set("lengths", std::move(lengths));
        settings.set("samples", haystack.samples);
        settings.set("seed", haystack.seed);
        settings.set("depths", std::uint64_t{haystack.depths});
        settings.set("template", haystack.wrapper);
        settings.set("tokens_to_generate", std::uint64_t{haystack.tokens_to_generate});
    }

    /// In what they are hidden.
    void describe_haystacks(Json& settings) const {
        const HaystackPlan& haystack = job_.haystack;
        settings.set("essays", materials_.essays.name());
        settings.set("essays_sha256", materials_.essays.digest());
        if (haystack.singular != SingularWording::as_ruler) {
            settings.set("sane_wording", true);
        }
        if (haystack.removes_newlines) {
            settings.set("remove_newline_tab", true);
        }
        if (!left_out_.empty()) {
            Json left_out = Json::array();
            for (const LeftOut& one : left_out_) {
                left_out.push_back(Json::Object{{"what", one.what}, {"reason", one.reason}});
            }
            settings.set("left_out", std::move(left_out));
        }
        settings.set("comparable",
                     !haystack.essays.empty() && haystack.depths == 0
                         ? "Prompts are RULER's for these essays."
                         : "RULER-style: own haystack or own depths, not comparable with "
                           "published figures.");
    }

    /// A line that does not say how long it is is counted, answer included.
    void find_lengths() {
        for (Sample& sample : read_) {
            if (sample.length == 0) {
                sample.length =
                    job_.asking.tokenizer->encode(sample.prompt()).size() + job_.max_new_tokens;
            }
        }
        round_to_sets(read_);
    }

    /// Prompts of the file by their size, from place `first` on.
    std::vector<Question> take_questions(std::size_t first, std::size_t count) const {
        std::vector<const Sample*> samples;
        for (const Sample& sample : read_) {
            samples.push_back(&sample);
        }
        std::ranges::stable_sort(
            samples, {}, [](const Sample* sample) { return sample->input.size(); });
        std::vector<Sample> taken;
        for (std::size_t i = first; i < std::min(first + count, samples.size()); ++i) {
            taken.push_back(*samples[i]);
        }
        return collect(niah_items(std::move(taken),
                                  {.max_new_tokens = job_.max_new_tokens, .asks_logprob = false}));
    }

    static std::vector<Question> collect(const NextItem& next) {
        std::vector<Question> questions;
        while (std::optional<Item> item = next()) {
            questions.push_back(std::move(item->question));
        }
        return questions;
    }

    std::vector<Question> make_questions(std::size_t length, std::size_t count) {
        return collect(
            niah_items({NiahSettings{.task = niah_task("s1"),
                                     .length = length,
                                     .seed = job_.haystack.seed,
                                     .tokens_to_generate = job_.haystack.tokens_to_generate}},
                       count,
                       materials_,
                       {.max_new_tokens = job_.max_new_tokens, .asks_logprob = false}));
    }

    std::size_t find_longest() const {
        std::size_t length = 0;
        for (const NiahSettings& generator : generators_) {
            length = std::max(length, generator.length);
        }
        for (const Sample& sample : read_) {
            length = std::max(length, sample.length);
        }
        return length;
    }

    const NiahJob& job_;
    NiahMaterials materials_;
    std::vector<NiahSettings> generators_;
    std::vector<LeftOut> left_out_;
    std::vector<Sample> read_;
    std::size_t total_ = 0;
};

}  // namespace

EvaluationReport run_niah(const NiahJob& job, Scoreboard& scoreboard, const Watch& watch) {
    NiahEvaluation evaluation(job);
    return run_evaluation(evaluation, job.asking, scoreboard, watch);
}

}  // namespace anamnesis::eval
