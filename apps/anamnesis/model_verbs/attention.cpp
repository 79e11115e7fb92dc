// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"

#include "model_verbs/attention_findings.hpp"
#include "model_verbs/needle_texts.hpp"
#include "model_verbs/open_model.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/haystack.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// Where attention looks.
struct AttentionOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::vector<std::string> models{};  ///< PATH or NAME=PATH
    ModelOptions model{};
    eval::HaystackPlan haystack{};
    std::string prompts{};
    bool niah = false;
    bool own_answers = false;
    std::string out{};
    std::vector<std::uint32_t> beyond{};
    std::string select_layers{};
    std::uint32_t select_count = 0;  ///< 0: a quarter of the layers
};

void declare_texts(CLI::App& app, AttentionOptions& options) {
    OptionGroup texts(app, "What is read (--prompts or --niah)");
    auto* prompts =
        texts.option("--prompts",
                     options.prompts,
                     "JSON lines: input and outputs as RULER writes them, or text alone.");
    texts
        .flag("--niah",
              options.niah,
              "Needle prompts that are made here: --tasks (default s2) at --lengths (default 4k).")
        ->excludes(prompts);
    texts.flag("--own-answers",
               options.own_answers,
               "Take retrieval over what the model itself writes (Wu et al.). Without it, over the "
               "true answer, which is the same text for every checkpoint.");
    options.haystack.samples = 10;
    declare_haystack(app, options.haystack);
}

void declare(CLI::App& app, AttentionOptions& options) {
    OptionGroup required(app, "Required");
    required
        .option("--model",
                options.models,
                "A checkpoint folder, or NAME=FOLDER; again for each checkpoint: pre, post, "
                "repaired.")
        ->required();
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    declare_texts(app, options);
    OptionGroup figures(app, "Figures");
    figures
        .option("--beyond",
                options.beyond,
                "Distances whose share of attention is measured. Default: 1024,4096,16384.")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    figures
        .option("--select-layers",
                options.select_layers,
                "retrieval: write OUT/layers.txt, the layers of the first checkpoint with the "
                "highest retrieval score, for 'restore --layers'.")
        ->check(CLI::IsMember({"retrieval"}));
    figures
        .option("--select-count",
                options.select_count,
                "How many layers are selected; a quarter of them where it is not given.")
        ->check(CLI::PositiveNumber)
        ->default_str("");
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

std::vector<std::size_t> distances_of(const AttentionOptions& options) {
    std::set<std::size_t> distances(options.beyond.begin(), options.beyond.end());
    if (distances.empty()) {
        distances = {1024, 4096, 16384};
    }
    return {distances.begin(), distances.end()};
}

class AttentionRun {
public:
    AttentionRun(const AttentionOptions& options, Terminal& terminal, const Watch& watch)
        : options_(options),
          terminal_(terminal),
          stop_(watch.stop()),
          models_(eval::parse_asked_models(options.models, eval::PlaceKind::folder)),
          tokenizer_(language::Tokenizer::open(
              options.model.tokenizer.empty() ? models_.front().place : options.model.tokenizer)),
          texts_(options.niah ? needle_texts(options.haystack, tokenizer_)
                              : needle_texts(options.prompts, tokenizer_)),
          beyond_(distances_of(options)),
          folder_(eval::RunFolder::open(options.out, settings(), {})) {}

    int run() {
        std::set<std::pair<std::string, std::string>> done;
        for (const Json& line : folder_.results().lines()) {
            done.emplace(line.at("checkpoint").as_string("'checkpoint'"),
                         line.at("id").as_string("'id'"));
        }
        std::vector<std::string> names;
        for (const eval::AskedModel& model : models_) {
            names.push_back(model.name);
            folder_.describe(
                model.name,
                Json::Object{{"path", model.place}, {"digest", eval::sampled_digest(model.place)}});
            const bool is_done = std::ranges::all_of(texts_, [&](const NeedleText& text) {
                return done.contains({model.name, text.id});
            });
            if (!is_done) {
                look_into(model, done);
            }
        }
        const AttentionFindings findings = fold(eval::read_run(options_.out), names);
        write_reports(findings, options_.out);
        tell(findings);
        return 0;
    }

private:
    Json settings() const {
        Json beyond = Json::array();
        for (const std::size_t distance : beyond_) {
            beyond.push_back(std::uint64_t{distance});
        }
        Sha256 digest;
        for (const NeedleText& text : texts_) {
            digest.update(std::as_bytes(std::span(text.prompt)));
            digest.update(std::as_bytes(std::span(text.answer)));
        }
        return Json::Object{
            {"kind", "attention"},
            {"source", options_.niah ? "needle prompts made here" : options_.prompts},
            {"texts", std::uint64_t{texts_.size()}},
            {"tokens_sha256", digest.finish()},
            {"beyond", std::move(beyond)},
            {"answers", options_.own_answers ? "own" : "true"},
            {"dtype", options_.model.dtype.empty() ? "as stored" : options_.model.dtype},
            {"attn_logits_scaling", options_.model.attn_logits_scaling}};
    }

    void look_into(const eval::AskedModel& model,
                   const std::set<std::pair<std::string, std::string>>& done) {
        const runtime::Network network =
            open_network(model.place, options_.model, options_.reading, options_.common);
        const std::vector<std::int64_t> ends = ends_of(model);
        ProgressBar bar(options_.common.quiet);
        std::size_t tokens = 0;
        for (const NeedleText& text : texts_) {
            tokens += text.prompt.size();
        }
        bar.begin(format("attention of {}", model.name), tokens, ProgressUnit::tokens);
        for (const NeedleText& text : texts_) {
            if (!done.contains({model.name, text.id})) {
                refuse_to_go_on_after_a_signal();
                folder_.results().append(
                    to_json(in_context([&] { return format("text {} in {}", text.id, model.name); },
                                       [&] { return look_at(network, model.name, text, ends); })));
            }
            bar.advance(text.prompt.size());
        }
        bar.finish();
    }

    std::vector<std::int64_t> ends_of(const eval::AskedModel& model) const {
        const OpenedCheckpoint files =
            open_checkpoint(model.place, options_.reading, checkpoint::Missing::refuse);
        const auto tokens =
            language::end_of_text_tokens(files.checkpoint.folder(), files.checkpoint.config());
        return {tokens.begin(), tokens.end()};
    }

    AttentionRecord look_at(const runtime::Network& network,
                            const std::string& name,
                            const NeedleText& text,
                            const std::vector<std::int64_t>& ends) const {
        AttentionRecord record{.checkpoint = name, .id = text.id, .layers = {}};
        record.has_needle = text.needle.has_value();
        std::vector<std::int64_t> answer = text.answer;
        if (record.has_needle && options_.own_answers) {
            answer = analysis::continuation(
                network, text.prompt, options_.haystack.tokens_to_generate, ends);
            const std::vector<language::TokenId> tokens(answer.begin(), answer.end());
            record.is_answered = tokenizer_.decode(tokens).find(text.value) != std::string::npos;
        }
        std::vector<std::int64_t> ids = text.prompt;
        ids.insert(ids.end(), answer.begin(), answer.end());
        // The last prompt token produces the answer's first, its last token nothing more; of an
        // empty answer there is still the query that ended it.
        const analysis::TokenSpan queries{
            .first = text.prompt.size() - 1,
            .end = text.prompt.size() - 1 + std::max<std::size_t>(answer.size(), 1)};
        record.layers = analysis::attention_statistics(
            network, ids, {.beyond = beyond_, .needle = text.needle, .answer_queries = queries});
        return record;
    }

    void refuse_to_go_on_after_a_signal() const {
        if (stop_.stop_requested()) {
            throw Error(ErrorKind::cancelled,
                        format("interrupted; what was measured is in {}, and the same command "
                               "goes on from there",
                               in_quotes(options_.out)));
        }
    }

    void tell(const AttentionFindings& findings) const {
        Json json = to_json(findings);
        std::string chosen;
        if (!options_.select_layers.empty()) {
            const std::size_t count = options_.select_count != 0
                                          ? options_.select_count
                                          : std::max<std::size_t>(1, findings.layers.size() / 4);
            const std::vector<std::uint32_t> layers = retrieval_layers(findings, count);
            chosen = compact_list(layers);
            const auto path = std::filesystem::path(options_.out) / "layers.txt";
            io::write_text_atomically(path, chosen + "\n");
            json.set("selected_layers", chosen);
            chosen = format(
                "layers {} in {}; restore with --layers {}\n", chosen, path.string(), chosen);
        }
        if (options_.common.json) {
            terminal_.result(json.dump(2) + "\n");
        }
        terminal_.say(to_text(findings) + chosen + format("report: {}/report.html", options_.out));
    }

    const AttentionOptions& options_;
    Terminal& terminal_;
    std::stop_token stop_;
    std::vector<eval::AskedModel> models_;
    language::Tokenizer tokenizer_;
    std::vector<NeedleText> texts_;
    std::vector<std::size_t> beyond_;
    eval::RunFolder folder_;
};

int run(const AttentionOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.prompts.empty() && !options.niah) {
        throw Error(ErrorKind::usage, "there is nothing to read: give --prompts or --niah");
    }
    if (!options.niah && (!options.haystack.tasks.empty() || !options.haystack.lengths.empty())) {
        throw Error(ErrorKind::usage, "--tasks and --lengths belong to --niah");
    }
    if (options.select_count != 0 && options.select_layers.empty()) {
        throw Error(ErrorKind::usage, "--select-count belongs to --select-layers");
    }
    return AttentionRun(options, terminal, watch).run();
}

}  // namespace

Action add_attention(CLI::App& app) {
    return make_action<AttentionOptions>(app, declare, run);
}

}  // namespace anamnesis::app
