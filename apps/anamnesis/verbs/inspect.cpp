// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/inspection.hpp"
#include "anamnesis/restore/plan.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "sources.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct InspectOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    bool lists_tensors = false;
};

void declare(CLI::App& app, InspectOptions& options) {
    app.add_option("checkpoint", options.checkpoint, "A folder or a .safetensors file.")
        ->required();
    OptionGroup(app, "Output")
        .flag("--tensors", options.lists_tensors, "List every tensor with its group.");
    declare_reading(app, options.reading);
}

int run(const InspectOptions& options, Terminal& terminal) {
    const restore::Source source = open_source_for_reading(options.checkpoint, options.reading);
    const auto list =
        options.lists_tensors ? restore::TensorList::all : restore::TensorList::routing;
    terminal.result(options.common.json ? restore::make_inspection_json(source, list).dump(2) + "\n"
                                        : restore::make_inspection_text(source, list));
    return 0;
}

}  // namespace

Action add_inspect(CLI::App& app) {
    return make_action<InspectOptions>(app, declare, run);
}

}  // namespace anamnesis::app
