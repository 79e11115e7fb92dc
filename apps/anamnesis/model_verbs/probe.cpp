// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/probe.hpp"

#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/measurement.hpp"

#include "model_verbs/model_verbs.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

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
