// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/probe.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/measurement.hpp"

#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// Recall and reasoning on the synthetic tasks.
struct ProbeOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::vector<std::string> checkpoints{};
    std::vector<std::uint64_t> lengths = {128, 256, 512, 1024, 2048};
    std::uint64_t samples = 100;
    std::uint64_t seed = 999;
};

void declare(CLI::App& app, ProbeOptions& options) {
    OptionGroup(app, "Required")
        .option("--model", options.checkpoints, "A checkpoint folder; may be given again.")
        ->required();
    OptionGroup questions(app, "Questions");
    questions.option("--lengths", options.lengths, "Contexts in tokens.")
        ->delimiter(',')
        ->check(CLI::Range(68U, 1U << 20U))
        ->default_str("128,256,512,1024,2048");
    questions.option("--samples", options.samples, "Samples of each task and length.")
        ->check(CLI::Range(1U, 1U << 24U));
    questions.option("--seed", options.seed, "The seed of the samples, the same for every model.");
    declare_reading(app, options.reading);
}

int run(const ProbeOptions& options, Terminal& terminal, const Watch& watch) {
    reproduction::ProbeJob job{
        .opening = make_open_options(options.reading),
        .recognising = make_recognise_options(options.reading),
        .questions = {.lengths = {options.lengths.begin(), options.lengths.end()},
                      .recall_samples = options.samples,
                      .reasoning_samples = options.samples,
                      .seed = options.seed},
        .threads = options.common.threads};
    for (const std::string& path : options.checkpoints) {
        job.checkpoints.push_back({.name = path, .path = path});
    }
    const auto checkpoints = reproduction::run_probe(job, watch);
    const Json json =
        Json::Object{{"seed", options.seed}, {"models", reproduction::to_json(checkpoints)}};
    terminal.show(options.common.json, json, reproduction::to_text(checkpoints));
    return 0;
}

}  // namespace

Action add_probe(CLI::App& app) {
    return make_action<ProbeOptions>(app, declare, run);
}

}  // namespace anamnesis::app
