// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/adapter_inspection.hpp"
#include "anamnesis/restore/inspection.hpp"
#include "anamnesis/restore/open_pair.hpp"
#include "anamnesis/restore/plan.hpp"

#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct InspectOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    std::string base{};
    bool lists_tensors = false;
};

void declare(CLI::App& app, InspectOptions& options) {
    app.add_option("checkpoint",
                   options.checkpoint,
                   "A folder, or a .safetensors or .gguf file; a LoRA adapter.")
        ->required();
    OptionGroup(app, "LoRA adapters")
        .option("--base", options.base, "The base of the adapter: what it reaches there.");
    OptionGroup(app, "Output")
        .flag("--tensors", options.lists_tensors, "List every tensor with its group.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

int print(const restore::AdapterInspection& inspection,
          const InspectOptions& options,
          Terminal& terminal) {
    terminal.show(options.common.json, to_json(inspection), to_text(inspection));
    if (options.reading.is_strict) {
        refuse_warnings(inspection.findings);
    }
    return 0;
}

int run(const InspectOptions& options, Terminal& terminal) {
    if (checkpoint::is_adapter(options.checkpoint)) {
        if (options.base.empty()) {
            const checkpoint::Adapter adapter = checkpoint::open_adapter(options.checkpoint);
            return print(restore::inspect_adapter(adapter), options, terminal);
        }
        const auto pair = restore::open_adapter_pair(options.base,
                                                     options.checkpoint,
                                                     make_open_options(options.reading),
                                                     make_recognise_options(options.reading),
                                                     {});
        return print(restore::inspect_adapter(pair.match), options, terminal);
    }
    if (!options.base.empty()) {
        throw Error(ErrorKind::usage, "--base belongs to an adapter, and this is a checkpoint");
    }
    const checkpoint::RecognisedCheckpoint source =
        open_checkpoint(options.checkpoint, options.reading, checkpoint::Missing::warn);
    const auto list =
        options.lists_tensors ? restore::TensorList::all : restore::TensorList::routing;
    terminal.show(options.common.json,
                  restore::make_inspection_json(source, list),
                  restore::make_inspection_text(source, list));
    if (options.reading.is_strict) {
        refuse_warnings(source.findings());
    }
    return 0;
}

}  // namespace

Action add_inspect(CLI::App& app) {
    return make_action<InspectOptions>(app, declare, run);
}

}  // namespace anamnesis::app
