// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/analysis/attention_findings.hpp"
#include "anamnesis/analysis/attention_job.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"

#include "model_verbs/open_model.hpp"
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
                "A checkpoint (folder or GGUF), or NAME=PATH; again for each: pre, post, "
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
        ->check(CLI::Range(1U, 1U << 30U));
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
        ->check(CLI::Range(1U, 1U << 30U))
        ->default_str("");
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

analysis::AttentionJob make_job(const AttentionOptions& options) {
    if (options.prompts.empty() && !options.niah) {
        throw Error(ErrorKind::usage, "there is nothing to read: give --prompts or --niah");
    }
    if (options.select_count != 0 && options.select_layers.empty()) {
        throw Error(ErrorKind::usage, "--select-count belongs to --select-layers");
    }
    if (!options.niah && (!options.haystack.tasks.empty() || !options.haystack.lengths.empty())) {
        throw Error(ErrorKind::usage, "--tasks and --lengths belong to --niah");
    }
    analysis::AttentionJob job;
    job.loading = make_loading(options.model, options.reading, options.common);
    job.prompts = options.prompts;
    job.beyond = {options.beyond.begin(), options.beyond.end()};
    job.out = options.out;
    job.checkpoints =
        eval::parse_asked_models(options.models, eval::PlaceKind::folder, options.model.adapters);
    if (options.niah) {
        job.needles = options.haystack;
        if (job.needles->tasks.empty()) {
            job.needles->tasks = {"s2"};
        }
        if (job.needles->lengths.empty()) {
            job.needles->lengths = {4096};
        }
    }
    if (options.own_answers) {
        job.own_answer_tokens = options.haystack.tokens_to_generate;
    }
    if (!options.select_layers.empty()) {
        job.chosen_layers = options.select_count;
    }
    return job;
}

int run(const AttentionOptions& options, Terminal& terminal, const Watch& watch) {
    const analysis::AttentionResult result = analysis::run_attention(make_job(options), watch);
    Json json = analysis::to_json(result.findings);
    std::string chosen;
    if (!result.chosen_layers.empty()) {
        const std::string layers = compact_list(result.chosen_layers);
        json.set("selected_layers", layers);
        chosen = format("layers {} in {}; restore with --layers {}\n",
                        layers,
                        (std::filesystem::path(options.out) / "layers.txt").string(),
                        layers);
    }
    if (options.common.json) {
        terminal.result(json.dump(2) + "\n");
    }
    terminal.say(analysis::to_text(result.findings) + chosen +
                 format("report: {}/report.html", options.out));
    return 0;
}

}  // namespace

Action add_attention(CLI::App& app) {
    return make_action<AttentionOptions>(app, declare, run);
}

}  // namespace anamnesis::app
