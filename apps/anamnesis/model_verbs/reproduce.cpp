// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// The finding from end to end.
struct ReproduceOptions {
    CommonOptions common{};
    std::vector<std::uint64_t> seeds = {0, 1, 2};
    std::string out{};
    bool is_quick = false;
};

void declare(CLI::App& app, ReproduceOptions& options) {
    OptionGroup(app, "Required")
        .option("--out", options.out, "The folder to write; the same command resumes there.")
        ->required();
    OptionGroup runs(app, "Runs");
    runs.option("--seeds", options.seeds, "Seeds with commas, one run each.")
        ->delimiter(',')
        ->default_str("0,1,2");
    runs.flag("--quick",
              options.is_quick,
              "Take seconds instead of minutes, to see the steps. The figures mean nothing.");
}

int run(const ReproduceOptions& options, Terminal& terminal, const Watch& watch) {
    const reproduction::Recipe recipe =
        options.is_quick ? reproduction::quick_recipe() : reproduction::standard_recipe();
    const std::filesystem::path folder(options.out);
    ProgressBar progress(terminal.is_quiet());
    const reproduction::Execution execution{
        .threads = options.common.threads == 0 ? available_threads() : options.common.threads,
        .progress = &progress,
        .stop = watch.stop()};
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

}  // namespace

Action add_reproduce(CLI::App& app) {
    return make_action<ReproduceOptions>(app, declare, run);
}

}  // namespace anamnesis::app
