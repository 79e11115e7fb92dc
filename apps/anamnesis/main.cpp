// SPDX-License-Identifier: Apache-2.0
#include <type_traits>
#include <variant>

#include "anamnesis/base/watch.hpp"

#include "command.hpp"
#include "command_watch.hpp"
#include "evaluation/evaluation.hpp"
#include "hand_over.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    return app::run_command(argc, argv, [argv](const app::Invocation& invocation) {
        return std::visit(
            [argv](const auto& options) {
                using Options = std::remove_cvref_t<decltype(options)>;
                if constexpr (app::runs_model<Options>) {
                    return app::hand_over(argv);
                } else if constexpr (app::asks_models<Options>) {
                    if (options.asking.endpoint.empty()) {
                        return app::hand_over(argv);
                    }
                    app::Terminal terminal = app::terminal_for(options);
                    const app::CommandWatch command(terminal);
                    return app::run(options, terminal, {}, command.watch());
                } else {
                    app::Terminal terminal = app::terminal_for(options);
                    if constexpr (requires { app::run(options, terminal, Watch()); }) {
                        const app::CommandWatch command(terminal);
                        return app::run(options, terminal, command.watch());
                    } else {
                        return app::run(options, terminal);
                    }
                }
            },
            invocation);
    });
}
