// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <vector>

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

#include "model_verbs/model_verbs.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

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

}  // namespace

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

}  // namespace anamnesis::app
