// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>

#include "anamnesis/analysis/attention_findings.hpp"
#include "anamnesis/analysis/attention_job.hpp"
#include "anamnesis/analysis/needle_texts.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/haystacks.hpp"
#include "model_verbs/model_verbs.hpp"
#include "model_verbs/open_model.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

analysis::NeedlePlan make_needle_plan(HaystackOptions options) {
    if (options.tasks.empty()) {
        options.tasks = {"s2"};
    }
    if (options.lengths.empty()) {
        options.lengths = {"4k"};
    }
    return {
        .generators = generators_of(options), .samples = options.samples, .essays = options.essays};
}

analysis::AttentionJob make_job(const AttentionOptions& options) {
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
    AskingOptions asking;
    asking.models = options.models;
    for (const AskedModel& model : asked_models(asking)) {
        job.checkpoints.push_back({.name = model.name, .path = model.place});
    }
    if (options.niah) {
        job.needles = make_needle_plan(options.haystack);
    }
    if (options.own_answers) {
        job.own_answer_tokens = options.haystack.tokens_to_generate;
    }
    if (!options.select_layers.empty()) {
        job.chosen_layers = options.select_count;
    }
    return job;
}

}  // namespace

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

}  // namespace anamnesis::app
