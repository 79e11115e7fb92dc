// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/drift_report.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct DriftOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    restore::Selection selection{};
    std::string pre{};
    std::string post{};
    std::string html{};
    std::optional<double> limit{};
};

void declare(CLI::App& app, DriftOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    required.option("--post", options.post, "The checkpoint after it.")->required();
    OptionGroup rows(app, "Which heads");
    rows.flag("--include-sliding",
              options.selection.has_sliding,
              "Measure the heads of sliding-window layers too.");
    rows.flag("--include-mtp",
              options.selection.has_draft_heads,
              "Measure the heads of draft layers too.");
    OptionGroup output(app, "Output");
    output.option("--html", options.html, "Write a page with heat maps to this file.");
    output.option("--limit",
                  options.limit,
                  "Exit with 1 where the drift of W_Q or W_K of a softmax layer is above this or "
                  "could not be measured.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

int run(const DriftOptions& options, Terminal& terminal, const Watch& watch) {
    report::check_page_target(options.html);
    const auto [pre, post] = open_pair(options.pre, options.post, options.reading);
    const restore::CheckpointDrift drift =
        restore::measure_drift(pre, post, options.selection, make_execution(options.common, watch));
    report_findings(drift.findings, options.reading, terminal);
    if (!options.html.empty()) {
        report::write_page(options.html, restore::make_drift_document(pre, post, drift));
    }
    if (options.common.json) {
        terminal.result(restore::make_drift_json(pre, post, drift).dump(2) + "\n");
    } else if (!terminal.is_quiet()) {
        terminal.result(restore::make_drift_table(post, drift));
        for (const std::string& note : drift.notes) {
            terminal.say(format("note: {}", note));
        }
        terminal.say(format("{}; gauge: {}", restore::describe_drift(drift), drift.gauge));
        if (!options.html.empty()) {
            terminal.say(format("page: {}", options.html));
        }
    }
    return options.limit && !restore::is_routing_drift_within(drift, *options.limit) ? 1 : 0;
}

}  // namespace

Action add_drift(CLI::App& app) {
    return make_action<DriftOptions>(app, declare, run);
}

}  // namespace anamnesis::app
