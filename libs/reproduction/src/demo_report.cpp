// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/demo_report.hpp"

#include <cstddef>
#include <filesystem>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/probe.hpp"

namespace anamnesis::reproduction {

std::filesystem::path find_demo_page(const std::filesystem::path& folder) {
    return folder / "report.html";
}

std::vector<NamedMeasurement> report_demo(const std::filesystem::path& folder,
                                          std::size_t samples,
                                          unsigned threads,
                                          const Watch& watch) {
    ProbeJob job{.questions = {.lengths = {128, 512, 2048},
                               .recall_samples = samples,
                               .reasoning_samples = samples,
                               .seed = 999},
                 .threads = threads};
    for (const char* name : {"pre", "post", "qk", "pro", "fit"}) {
        job.checkpoints.push_back({.name = name, .path = (folder / name).string()});
    }
    const std::vector<NamedMeasurement> checkpoints = run_probe(job, watch);
    report::write_page(find_demo_page(folder), to_document(checkpoints));
    return checkpoints;
}

}  // namespace anamnesis::reproduction
