// SPDX-License-Identifier: Apache-2.0

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"

#include "options.hpp"
#include "sources.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const UndoOptions& options, Terminal& terminal, const Watch& watch) {
    const restore::Result result =
        restore::undo_in_place(options.checkpoint, execution_of(options.common, watch));
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"path", result.path.string()},
                                          {"bytes_restored", result.bytes_written}})
                            .dump(2) +
                        "\n");
    } else {
        terminal.say(format("{}: {} put back, as before the repair",
                            result.path.string(),
                            human_bytes(result.bytes_written)));
    }
    return 0;
}

}  // namespace anamnesis::app
