// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/analysis/gradients_job.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// Where a loss reaches: gradients of attention logits by distance.
struct GradientsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string rows{};
    std::string data{};
    std::string compare{};
    std::string out{};
    std::uint32_t max_tokens = 8192;
    std::uint32_t samples = 0;  ///< 0: all
    bool all_text = false;
    bool no_bands = false;
    std::uint32_t resamples = 1000;
    std::uint64_t seed = 0;
};

void declare_loss(CLI::App& app, GradientsOptions& options) {
    OptionGroup loss(app, "What the loss is on (--data or --rows)");
    loss.option("--data", options.data, "JSON lines with messages, prompt and response, or text.");
    auto* rows = loss.option("--rows",
                             options.rows,
                             "A .safetensors file with input_ids and labels [B, T]; -100 is "
                             "unsupervised. The loss is the mean over all rows. Alone of these.");
    loss.option("--compare", options.compare, "With --data: a second data set beside it.");
    loss.option("--max-tokens", options.max_tokens, "Cut longer examples.")
        ->check(CLI::Range(2U, 1U << 24U));
    loss.option("--samples",
                options.samples,
                "Take the first examples alone; all where it is not given.")
        ->check(find_text_of_zero)
        ->default_str("");
    loss.flag("--all-text",
              options.all_text,
              "The loss is on every token; without it, on responses alone.");
    for (const char* of_data : {"--data", "--compare", "--max-tokens", "--samples", "--all-text"}) {
        rows->excludes(of_data);
    }
}

void declare(CLI::App& app, GradientsOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--model", options.checkpoint, "The checkpoint (folder or GGUF).")->required();
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    declare_loss(app, options);
    OptionGroup figures(app, "Figures");
    figures.flag("--no-bands",
                 options.no_bands,
                 "Leave out the gradients of W_Q, W_K, W_V and W_O by distance band.");
    figures.option("--resamples", options.resamples, "Resamples of the bootstrap.")
        ->check(CLI::Range(100U, 1'000'000U));
    figures.option("--seed", options.seed, "The seed of the bootstrap.");
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

int run(const GradientsOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.data.empty() && options.rows.empty()) {
        throw Error(ErrorKind::usage, "there is nothing to measure: give --data or --rows");
    }
    const analysis::GradientsJob job{
        .model = eval::name_model(options.checkpoint, options.model.adapters),
        .loading = make_loading(options.model, options.reading, options.common),
        .rows = options.rows,
        .data = options.data,
        .compare = options.compare,
        .out = options.out,
        .most_tokens = options.max_tokens,
        .most_examples = options.samples,
        .supervises_prompts = options.all_text,
        .measures_bands = !options.no_bands,
        .resamples = options.resamples,
        .seed = options.seed};
    const analysis::GradientsResult result = analysis::run_gradients(job, watch);
    if (options.common.json) {
        Json json = analysis::to_json(result.findings);
        if (result.rows) {
            json.set("layers", *result.rows);
        }
        terminal.result(json.dump(2) + "\n");
    }
    terminal.say(analysis::to_text(result.findings) +
                 format("report: {}/report.html", options.out));
    return 0;
}

}  // namespace

Action add_gradients(CLI::App& app) {
    return make_action<GradientsOptions>(app, declare, run);
}

}  // namespace anamnesis::app
