// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/analysis/gradients_job.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"

#include "model_verbs/model_verbs.hpp"
#include "model_verbs/open_model.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

int run(const GradientsOptions& options, Terminal& terminal, const Watch& watch) {
    const analysis::GradientsJob job{
        .checkpoint = options.checkpoint,
        .loading = make_loading(options.model, options.reading, options.common),
        .rows = options.rows,
        .data = options.data,
        .compare = options.compare,
        .out = options.out,
        .most_tokens = options.max_tokens,
        .most_examples = options.samples,
        .supervises_prompts = options.all_text,
        .measures_bands = !options.no_bands,
        .resamples = options.resamples,
        .seed = options.seed};
    const analysis::GradientsResult result = analysis::run_gradients(job, watch);
    if (options.common.json) {
        Json json = analysis::to_json(result.findings);
        if (result.rows) {
            json.set("layers", *result.rows);
        }
        terminal.result(json.dump(2) + "\n");
    }
    terminal.say(analysis::to_text(result.findings) +
                 format("report: {}/report.html", options.out));
    return 0;
}

}  // namespace anamnesis::app
