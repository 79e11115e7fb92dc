// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/verify_job.hpp"

#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "options/selection.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct VerifyOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    std::string pre{};
    std::string post{};
    std::string adapter{};
    std::string repaired{};
    std::string moments{};
    bool is_as_peft = false;
    bool compares_weights_only = false;

    restore::VerifyJob make_job() const {
        if (post.empty() && adapter.empty()) {
            throw Error(ErrorKind::usage, "verify needs --post, or --adapter for a merged adapter");
        }
        return {
            .pre = pre,
            .post = adapter.empty() ? post : adapter,
            .merges = !adapter.empty(),
            .repaired = repaired,
            .opening = make_open_options(reading),
            .recognising = make_recognise_options(reading),
            .request = selection.make_request(),
            .rounding = is_as_peft ? restore::MergeRounding::peft : restore::MergeRounding::once,
            .prefers_receipt = !selection.is_given(),
            .scope = compares_weights_only ? restore::VerifyScope::weights
                                           : restore::VerifyScope::folder,
            .moments = moments};
    }
};

void declare(CLI::App& app, VerifyOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    auto* post =
        required.option("--post", options.post, "The checkpoint or LoRA adapter after it.");
    required.option("--adapter", options.adapter, "The same as --post, of a merged adapter.")
        ->excludes(post);
    required.option("--repaired", options.repaired, "The repaired checkpoint or adapter.")
        ->required();
    options.selection.declare(app);
    OptionGroup(app, "Proof of --method fit")
        .option("--moments",
                options.moments,
                "The moments of the calibration, a file or the folder of 'restore --moments': the "
                "fitted rows are computed again.");
    OptionGroup compared(app, "What is compared");
    compared.flag(
        "--weights-only",
        options.compares_weights_only,
        "Compare tensors alone, whatever they are called and whatever lies beside them: for a "
        "repair that another library has saved again.");
    compared.flag("--as-peft", options.is_as_peft, "A merge is rounded as PEFT rounds.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

int run(const VerifyOptions& options, Terminal& terminal, const Watch& watch) {
    const auto [request, origin, result] =
        restore::run_verification(options.make_job(), make_execution(options.common, watch));
    report_findings(result.findings, options.reading, terminal);
    if (options.common.json) {
        terminal.result(restore::to_json(result, request, origin).dump(2) + "\n");
        return result.is_proven() ? 0 : 1;
    }
    if (!terminal.is_quiet()) {
        terminal.result(make_verdict_table(result));
    }
    for (const std::string& note : result.notes) {
        terminal.say(format("note: {}", note));
    }
    for (const std::string& deviation : result.deviations) {
        terminal.result(format("deviation: {}\n", deviation));
    }
    terminal.say(describe_verdict(result, request, origin));
    return result.is_proven() ? 0 : 1;
}

}  // namespace

Action add_verify(CLI::App& app) {
    return make_action<VerifyOptions>(app, declare, run);
}

}  // namespace anamnesis::app
