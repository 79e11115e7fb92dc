// SPDX-License-Identifier: Apache-2.0
#include "help_format.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/text.hpp"

namespace anamnesis::app {
namespace {

constexpr std::size_t widest = 100;

/// Breaks at spaces so that no line is wider than `columns`, if a word allows.
std::string wrap(const std::string& text, std::size_t columns) {
    std::string result;
    std::size_t width = 0;
    for (const std::string& word : split(text, ' ')) {
        const bool is_full = width > 0 && width + 1 + word.size() > columns;
        if (width > 0) {
            result += is_full ? '\n' : ' ';
        }
        width = is_full || width == 0 ? word.size() : width + 1 + word.size();
        result += word;
    }
    return result;
}

/// The library's names of types, without the ranges that follow a colon, as a reader knows them.
std::string choose_placeholder(const std::string& type) {
    const std::string name = type.substr(0, type.find(':'));
    if (name == "UINT" || name == "INT") {
        return "N";
    }
    if (name == "FLOAT") {
        return "X";
    }
    return name == "BOOLEAN" ? "0|1" : name;
}

}  // namespace

HelpFormat::HelpFormat(std::size_t column) {
    column_width(column);
    label("Positionals", "Arguments");
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
    if (option->get_type_size() == 0) {
        return "";
    }
    std::string text = " " + choose_placeholder(option->get_type_name());
    if (option->get_expected_max() == CLI::detail::expected_max_vector_size) {
        text += " ...";
    }
    return text;
}

std::string HelpFormat::make_option_desc(const CLI::Option* option) const {
    std::string text = option->get_description();
    const std::string standard = option->get_default_str();
    const bool has_default = option->get_type_size() != 0 && !standard.empty() &&
                             standard != "[]" && standard != "{}" && standard != "\"\"";
    if (has_default) {
        text += format(" Default: {}.", standard);
    }
    return wrap(text, widest - get_column_width());
}

std::string HelpFormat::make_group(std::string name,
                                   bool is_positional,
                                   std::vector<const CLI::Option*> options) const {
    std::string text =
        CLI::Formatter::make_group(std::move(name), is_positional, std::move(options));
    // The library puts a line break before each group, and another after all but the last.
    return text.substr(1) + (is_positional ? "\n" : "");
}

std::string HelpFormat::make_usage(const CLI::App* app, std::string name) const {
    if (app->get_parent() != nullptr) {
        return CLI::Formatter::make_usage(app, std::move(name)) + "\n";
    }
    return "Usage: anamnesis VERB [OPTIONS]\n       anamnesis VERB --help\n\n";
}

}  // namespace anamnesis::app
