// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/probe.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/value_text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::reproduction {
namespace {

runtime::Network load_speaker(const ProbeJob& job, const std::string& path) {
    const auto opened = checkpoint::open_recognised(path, job.opening, job.recognising);
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

std::vector<NamedMeasurement> run_probe(const ProbeJob& job, const Watch& watch) {
    const std::vector<std::size_t>& lengths = job.questions.lengths;
    refuse_repeated("--lengths", std::vector<std::uint64_t>(lengths.begin(), lengths.end()));
    runtime::use_threads(job.threads);
    std::vector<NamedMeasurement> measured;
    for (const ProbeJob::Probed& probed : job.checkpoints) {
        watch.progress().begin(probed.name, count_parts(job.questions), ProgressUnit::steps);
        measured.push_back({.name = probed.name, .measurement = runtime::convert_torch_errors([&] {
                                                     return measure(load_speaker(job, probed.path),
                                                                    job.questions,
                                                                    watch);
                                                 })});
        watch.progress().finish();
    }
    return measured;
}

}  // namespace anamnesis::reproduction
