// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/dissection/dissect.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/dissection/findings.hpp"

#include "model_verbs/open_model.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct DissectOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    ModelOptions model{};
    std::string pre{};
    std::string post{};
    std::string recall{};
    std::string reasoning{};
    std::string out{};
    dissection::Depth depth = dissection::Depth::group;
    double budget_minutes = 0.0;  ///< 0: no end
};

void declare(CLI::App& app, DissectOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    required.option("--post", options.post, "The checkpoint after it.")->required();
    required
        .option("--recall",
                options.recall,
                "Texts with facts and questions on them, as JSON lines in the forms of 'train "
                "--data'; the response is the fact. 'niah': RULER's prompts, made here.")
        ->required();
    required
        .option("--reasoning",
                options.reasoning,
                "Problems with worked answers of the fine-tune's kind, in the same forms.")
        ->required();
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    OptionGroup search(app, "The search");
    search
        .word("--depth",
              options.depth,
              dissection::depth_words,
              "How finely weights are told apart: group, layer (each group of each layer) or head "
              "(and of W_Q, W_K and W_V each key-value head).")
        ->default_str("group");
    search
        .option("--budget",
                options.budget_minutes,
                "Minutes after which the search goes on with what it has. Default: no end.")
        ->check(CLI::Range(0.01, 1e6))
        ->default_str("");
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

int run(const DissectOptions& options, Terminal& terminal, const Watch& watch) {
    const auto [pre, post] = open_pair(options.pre, options.post, options.reading);
    dissection::DissectionJob job;
    job.pre = &pre;
    job.post = &post;
    job.running = make_loading(options.model, options.reading, options.common).running;
    job.recall = calibration::open_recall_texts(options.recall, post, job.running.tokenizer);
    job.reasoning = calibration::read_calibration_texts(
        options.reasoning, post.checkpoint, job.running.tokenizer);
    job.depth = options.depth;
    job.out = options.out;
    if (options.budget_minutes > 0.0) {
        job.budget_seconds = static_cast<std::uint64_t>(60.0 * options.budget_minutes) + 1;
    }
    const dissection::Findings findings = dissection::dissect(job, watch);
    for (const std::string& warning : findings.warnings) {
        terminal.warn(warning);
    }
    const std::filesystem::path page = dissection::write_report(findings, options.out);
    terminal.show(options.common.json, to_json(findings), to_text(findings));
    terminal.say(format("report: {}", page.string()));
    return 0;
}

}  // namespace

Action add_dissect(CLI::App& app) {
    return make_action<DissectOptions>(app, declare, run);
}

}  // namespace anamnesis::app
