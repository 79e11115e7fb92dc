// SPDX-License-Identifier: Apache-2.0
#include <type_traits>
#include <variant>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/watch.hpp"

#include "command.hpp"
#include "command_watch.hpp"
#include "evaluation/evaluation.hpp"
#include "model_verbs/model_verbs.hpp"
#include "model_verbs/open_model.hpp"
#include "options.hpp"
#include "terminal.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    return app::run_command(argc, argv, [](const app::Invocation& invocation) {
        return std::visit(
            [](const auto& options) -> int {
                using Options = std::remove_cvref_t<decltype(options)>;
                app::Terminal terminal = app::terminal_for(options);
                if constexpr (app::asks_models<Options>) {
                    const app::CommandWatch command(terminal);
                    return app::run(options, terminal, app::open_model, command.watch());
                } else if constexpr (requires { app::run(options, terminal, Watch()); } &&
                                     app::runs_model<Options>) {
                    const app::CommandWatch command(terminal);
                    return app::run(options, terminal, command.watch());
                } else if constexpr (app::runs_model<Options>) {
                    return app::run(options, terminal);
                } else {
                    throw Error(ErrorKind::usage,
                                "this program runs the verbs that need a model; run 'anamnesis'");
                }
            },
            invocation);
    });
}
