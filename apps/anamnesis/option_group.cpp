// SPDX-License-Identifier: Apache-2.0
#include "option_group.hpp"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace anamnesis::app {

std::vector<CLI::Option*> list_options(CLI::App& app, const std::string& group) {
    return app.get_options(
        [&group](const CLI::Option* option) { return option->get_group() == group; });
}

bool is_any_given(const CLI::App& app, const std::string& group) {
    return !app.get_options([&group](const CLI::Option* option) {
                   return option->get_group() == group && option->count() > 0;
               })
                .empty();
}

}  // namespace anamnesis::app
