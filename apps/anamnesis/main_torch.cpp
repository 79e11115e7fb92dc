// SPDX-License-Identifier: Apache-2.0
#include <type_traits>
#include <variant>

#include "anamnesis/base/error.hpp"

#include "command.hpp"
#include "model_verbs/model_verbs.hpp"
#include "options.hpp"
#include "terminal.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    return app::run_command(argc, argv, [](const app::Invocation& invocation) {
        return std::visit(
            [](const auto& options) -> int {
                if constexpr (app::runs_model<std::remove_cvref_t<decltype(options)>>) {
                    app::Terminal terminal = app::terminal_for(options);
                    return app::run(options, terminal);
                } else {
                    throw Error(ErrorKind::usage,
                                "this program runs the verbs that need a model; run 'anamnesis'");
                }
            },
            invocation);
    });
}
