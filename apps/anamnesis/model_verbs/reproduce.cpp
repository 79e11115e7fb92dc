// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"

#include "interrupt.hpp"
#include "model_verbs/model_verbs.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

int run(const ReproduceOptions& options, Terminal& terminal) {
    const reproduction::Recipe recipe =
        options.is_quick ? reproduction::quick_recipe() : reproduction::standard_recipe();
    const std::filesystem::path folder(options.out);
    ProgressBar progress(terminal.is_quiet());
    const reproduction::Execution execution{
        .threads = options.common.threads == 0 ? available_threads() : options.common.threads,
        .progress = &progress,
        .stop = stop_on_signal()};
    std::vector<reproduction::SeedFindings> seeds;
    for (const std::uint64_t seed : options.seeds) {
        seeds.push_back(
            reproduction::run_seed(recipe, seed, folder / format("seed-{}", seed), execution));
        terminal.say(format("seed {}: {:.1f} minutes", seed, seeds.back().seconds / 60.0));
    }
    const reproduction::Findings findings = reproduction::find(recipe, seeds);
    const report::Document document = reproduction::to_document(findings);
    const std::string json = reproduction::to_json(findings).dump(2) + "\n";
    io::write_text_atomically(folder / "report.html", report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.json", json);
    terminal.result(options.common.json ? json : reproduction::to_text(findings));
    terminal.say(format("report: {}", (folder / "report.html").string()));
    return 0;
}

}  // namespace anamnesis::app
