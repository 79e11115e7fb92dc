// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/words.hpp"

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

runtime::Network open_network(const std::string& path, const ReadingOptions& reading) {
    const OpenedCheckpoint opened = open_checkpoint(path, reading, checkpoint::Missing::refuse);
    runtime::Network network =
        runtime::Network::load(opened.checkpoint,
                               runtime::describe(opened.checkpoint, opened.model),
                               {.weight_type = at::kFloat});
    const std::size_t words = train::synthetic::words().size();
    if (network.spec().vocabulary_size != words) {
        throw Error(ErrorKind::mismatch,
                    format("{} has a vocabulary of {}, the synthetic language {} words",
                           in_quotes(path, 1000),
                           network.spec().vocabulary_size,
                           words));
    }
    return network;
}

int run(const ProbeOptions& options, Terminal& terminal) {
    runtime::use_threads(options.common.threads);
    const reproduction::Questions questions{
        .lengths = {options.lengths.begin(), options.lengths.end()},
        .recall_samples = options.samples,
        .reasoning_samples = options.samples,
        .seed = options.seed};
    std::vector<reproduction::NamedMeasurement> checkpoints;
    for (const std::string& path : options.checkpoints) {
        ProgressBar progress(terminal.is_quiet());
        progress.begin(path, reproduction::parts_of(questions), ProgressUnit::steps);
        checkpoints.push_back({.name = path, .measurement = runtime::at_the_door([&] {
                                                 return reproduction::measure(
                                                     open_network(path, options.reading),
                                                     questions,
                                                     [&] { progress.advance(1); });
                                             })});
        progress.finish();
    }
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"seed", options.seed},
                                          {"models", reproduction::to_json(checkpoints)}})
                            .dump(2) +
                        "\n");
    } else {
        terminal.result(reproduction::to_text(checkpoints));
    }
    return 0;
}

}  // namespace

Action add_probe(CLI::App& app) {
    return make_action<ProbeOptions>(app, declare, run);
}

}  // namespace anamnesis::app
