// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/reproduction.hpp"

#include "model_verbs/model_verbs.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

int run(const ReproduceOptions& options, Terminal& terminal, const Watch& watch) {
    const reproduction::ReproductionJob job{
        .recipe = options.is_quick ? reproduction::quick_recipe() : reproduction::standard_recipe(),
        .seeds = options.seeds,
        .folder = options.out,
        .threads = options.common.threads};
    const reproduction::Findings findings = reproduction::run_reproduction(job, watch);
    terminal.result(options.common.json ? reproduction::to_json(findings).dump(2) + "\n"
                                        : reproduction::to_text(findings));
    terminal.say(format("report: {}", (job.folder / "report.html").string()));
    return 0;
}

}  // namespace anamnesis::app
