// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/result_text.hpp"

#include "execution.hpp"
#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct UndoOptions {
    CommonOptions common{};
    std::string checkpoint{};
};

void declare(CLI::App& app, UndoOptions& options) {
    app.add_option(
           "checkpoint", options.checkpoint, "The folder or file that was repaired in place.")
        ->required();
}

int run(const UndoOptions& options, Terminal& terminal, const Watch& watch) {
    const restore::Result result =
        restore::undo_in_place(options.checkpoint, make_execution(options.common, watch));
    if (options.common.json) {
        terminal.result(restore::make_undo_json(result).dump(2) + "\n");
    } else {
        terminal.say(format("{}: {} put back, as before the repair",
                            result.path.string(),
                            human_bytes(result.bytes_written)));
    }
    return 0;
}

}  // namespace

Action add_undo(CLI::App& app) {
    return make_action<UndoOptions>(app, declare, run);
}

}  // namespace anamnesis::app
