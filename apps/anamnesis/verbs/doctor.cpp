// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/doctor.hpp"

#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/plan.hpp"

#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct DoctorOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string first{};
    std::string second{};
    std::string html{};
};

void declare(CLI::App& app, DoctorOptions& options) {
    app.add_option(
           "checkpoint", options.first, "A folder, .safetensors or .gguf file; of a pair, pre.")
        ->required();
    app.add_option("post", options.second, "The one after the fine-tune.");
    OptionGroup(app, "Output").option("--html", options.html, "Write a page to this file.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

int run(const DoctorOptions& options, Terminal& terminal, const Watch& watch) {
    report::check_page_target(options.html);
    const restore::Execution execution = make_execution(options.common, watch);
    const checkpoint::RecognisedCheckpoint first =
        open_checkpoint(options.first, options.reading, checkpoint::Missing::warn);
    checkpoint::RecognisedCheckpoint second;
    restore::Diagnosis diagnosis;
    if (options.second.empty()) {
        diagnosis = restore::examine(first, execution);
    } else {
        second = open_checkpoint(options.second, options.reading, checkpoint::Missing::warn);
        diagnosis = restore::examine(first, second, execution);
    }
    if (!options.html.empty()) {
        report::write_page(options.html, restore::make_diagnosis_document(diagnosis));
    }
    const std::string text = restore::make_diagnosis_text(diagnosis);
    if (diagnosis.has_errors() && !options.common.json) {
        terminal.result(text);  // errors are told when quiet
    } else {
        terminal.show(options.common.json, restore::make_diagnosis_json(diagnosis), text);
    }
    if (options.reading.is_strict) {
        refuse_warnings(diagnosis.findings);
    }
    return diagnosis.has_errors() ? 1 : 0;
}

}  // namespace

Action add_doctor(CLI::App& app) {
    return make_action<DoctorOptions>(app, declare, run);
}

}  // namespace anamnesis::app
