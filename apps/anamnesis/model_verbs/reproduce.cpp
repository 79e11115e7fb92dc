// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/reproduction.hpp"

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
    bool is_wide = false;
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
              "Take a minute or two a seed, to see the steps. The figures mean nothing.");
    runs.flag("--wide",
              options.is_wide,
              "Train a model ten times as large with two softmax layers and one learning rate; "
              "takes hours.")
        ->excludes("--quick");
}

reproduction::Recipe find_recipe(const ReproduceOptions& options) {
    return options.is_quick  ? reproduction::quick_recipe()
           : options.is_wide ? reproduction::wide_recipe()
                             : reproduction::standard_recipe();
}

int run(const ReproduceOptions& options, Terminal& terminal, const Watch& watch) {
    const reproduction::ReproductionJob job{.recipe = find_recipe(options),
                                            .seeds = options.seeds,
                                            .folder = options.out,
                                            .threads = options.common.threads};
    const reproduction::Findings findings = reproduction::run_reproduction(job, watch);
    terminal.show(options.common.json, to_json(findings), to_text(findings));
    terminal.say(format("report: {}", (job.folder / "report.html").string()));
    return 0;
}

}  // namespace

Action add_reproduce(CLI::App& app) {
    return make_action<ReproduceOptions>(app, declare, run);
}

}  // namespace anamnesis::app
