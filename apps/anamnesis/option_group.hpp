// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
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

    /// A value that is empty (a variable of the shell that is not set) is refused, as it is by
    /// `text` and `word`: the library reads it as 0.
    template <class Value>
    CLI::Option* option(const std::string& names, Value& value, const std::string& description) {
        return app_->add_option(names, value, description)->group(name_)->check(&find_fault<Value>);
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
        return app_->add_option_function<Text>(names, std::move(take), description)
            ->group(name_)
            ->check(&find_fault<std::string>);
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
            ->group(name_)
            ->check(&find_fault<std::string>);
    }

private:
    CLI::App* app_;
    std::string name_;
};

/// What the library drops or skips before any check: the nothing of `--seed=`, in whose place it
/// takes the next word, and empty items of lists. Refuses empty positionals too, as it parses.
/// Errors: `usage`.
void refuse_empty_values(CLI::App& verb, std::span<const char* const> words);

/// The options of a group so far.
std::vector<CLI::Option*> list_options(CLI::App& app, const std::string& group);

/// Whether some option of a group was given.
bool is_any_given(const CLI::App& app, const std::string& group);

}  // namespace anamnesis::app
