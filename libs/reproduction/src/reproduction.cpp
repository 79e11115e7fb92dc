// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/reproduction.hpp"

#include <cstdint>
#include <filesystem>
#include <system_error>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/value_text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/seed_run.hpp"

namespace anamnesis::reproduction {

namespace {

/// Whether an earlier call began in a folder. Reports have names that other commands use too, and
/// tell nothing.
bool has_seed_folder(const std::filesystem::path& folder) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        if (entry.is_directory() && entry.path().filename().string().starts_with("seed-")) {
            return true;
        }
    }
    return false;
}

}  // namespace

Findings run_reproduction(const ReproductionJob& job, const Watch& watch) {
    refuse_repeated("--seeds", job.seeds);
    if (!has_seed_folder(job.folder)) {
        io::require_new_folder(job.folder, "anamnesis reproduce");
    }
    const unsigned threads = job.threads == 0 ? available_threads() : job.threads;
    std::vector<SeedFindings> seeds;
    for (const std::uint64_t seed : job.seeds) {
        seeds.push_back(
            run_seed(job.recipe, seed, job.folder / format("seed-{}", seed), threads, watch));
        watch.log(format("seed {}: {:.1f} minutes", seed, seeds.back().seconds / 60.0));
    }
    Findings findings = find(job.recipe, seeds);
    const report::Document document = to_document(findings);
    io::write_text_atomically(job.folder / "report.html", report::to_html(document));
    io::write_text_atomically(job.folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(job.folder / "summary.json", to_json(findings).dump(2) + "\n");
    return findings;
}

}  // namespace anamnesis::reproduction
