// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "anamnesis/base/words.hpp"

namespace anamnesis::app {

/// Declares options under one heading of a verb's --help. Headings appear in the order of their
/// first option.
class OptionGroup {
public:
    OptionGroup(CLI::App& app, std::string name) : app_(&app), name_(std::move(name)) {}

    template <class Value>
    CLI::Option* option(const std::string& names, Value& value, const std::string& description) {
        return app_->add_option(names, value, description)->group(name_);
    }

    CLI::Option* flag(const std::string& names, bool& value, const std::string& description) {
        return app_->add_flag(names, value, description)->group(name_);
    }

    /// A flag whose absence is the rule: it makes `value` false.
    CLI::Option* negation(const std::string& names, bool& value, const std::string& description) {
        return app_->add_flag_callback(
                       names, [&value] { value = false; }, description)
            ->group(name_);
    }

    /// An option whose value `take` reads from its text. `take` may throw an Error.
    template <class Text, class Take>
    CLI::Option* text(const std::string& names, Take take, const std::string& description) {
        return app_->add_option_function<Text>(names, std::move(take), description)->group(name_);
    }

    /// One of the words of a table.
    template <class Table, class Enum>
    CLI::Option* word(const std::string& names,
                      Enum& value,
                      const Table& table,
                      const std::string& description) {
        return app_
            ->add_option_function<std::string>(
                names,
                [names, &value, &table](const std::string& word) {
                    value = parse_word(table, word, names);
                },
                description)
            ->type_name("WORD")
            ->group(name_);
    }

private:
    CLI::App* app_;
    std::string name_;
};

/// Whether some option of a group was given.
bool is_any_given(const CLI::App& app, const std::string& group);

}  // namespace anamnesis::app
