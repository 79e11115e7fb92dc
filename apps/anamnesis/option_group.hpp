// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/value_text.hpp"
#include "anamnesis/base/words.hpp"

namespace anamnesis::app {

/// Declares options under one heading of a verb's --help. Headings appear in the order of their
/// first option.
class OptionGroup {
public:
    OptionGroup(CLI::App& app, std::string name) : app_(&app), name_(std::move(name)) {}

    /// A text that is empty (a variable of the shell that is not set) is refused.
    template <class Value>
    CLI::Option* option(const std::string& names, Value& value, const std::string& description) {
        CLI::Option* option = app_->add_option(names, value, description)->group(name_);
        if constexpr (std::is_same_v<Value, std::string> ||
                      std::is_same_v<Value, std::filesystem::path> ||
                      std::is_same_v<Value, std::vector<std::string>>) {
            option->check([](const std::string& text) { return find_empty_text(text); });
        } else if constexpr (holds_floats<Value>()) {
            option->check([](const std::string& text) { return find_text_of_nan(text); });
        } else if constexpr (holds_counts<Value>()) {
            option->check([](const std::string& text) { return find_negative_text(text); });
        }
        return option;
    }

    /// An option whose text may be empty: a prompt, a note.
    template <class Value>
    CLI::Option* prose(const std::string& names, Value& value, const std::string& description) {
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

/// The options of a group so far.
std::vector<CLI::Option*> list_options(CLI::App& app, const std::string& group);

/// Whether some option of a group was given.
bool is_any_given(const CLI::App& app, const std::string& group);

}  // namespace anamnesis::app
