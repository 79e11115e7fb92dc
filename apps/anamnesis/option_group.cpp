// SPDX-License-Identifier: Apache-2.0
#include "option_group.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/value_text.hpp"

namespace anamnesis::app {

void refuse_empty_values(CLI::App& verb, std::span<const char* const> words) {
    for (CLI::Option* option : verb.get_options()) {
        if (option->get_positional()) {
            option->check(&find_fault<std::string>);
        }
    }
    check_values(words, [&verb](const std::string& name) -> std::optional<OptionForm> {
        const CLI::Option* option = verb.get_option_no_throw(name);
        return option == nullptr
                   ? std::nullopt
                   : std::optional(OptionForm{.takes_value = option->get_items_expected_max() > 0,
                                              .is_list = option->get_delimiter() == ','});
    });
}

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
