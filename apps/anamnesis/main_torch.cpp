// SPDX-License-Identifier: Apache-2.0
#include <type_traits>
#include <variant>

#include "anamnesis/base/error.hpp"
#include "anamnesis/runtime/device.hpp"

#include "command.hpp"
#include "evaluation/evaluation.hpp"
#include "model_verbs/model_verbs.hpp"
#include "model_verbs/open_model.hpp"
#include "options.hpp"
#include "terminal.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    runtime::keep_freed_memory();
    return app::run_command(argc, argv, [](const app::Invocation& invocation) {
        return std::visit(
            [](const auto& options) -> int {
                using Options = std::remove_cvref_t<decltype(options)>;
                app::Terminal terminal = app::terminal_for(options);
                if constexpr (app::runs_model<Options>) {
                    return app::run(options, terminal);
                } else if constexpr (app::asks_models<Options>) {
                    return app::run(options, terminal, app::open_model);
                } else {
                    throw Error(ErrorKind::usage,
                                "this program runs the verbs that need a model; run 'anamnesis'");
                }
            },
            invocation);
    });
}
