// SPDX-License-Identifier: Apache-2.0
#include "parse_error.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/text.hpp"

namespace anamnesis::app {
namespace {

/// A word that nothing takes, and the known one that looks most like it.
std::string describe_unknown_word(const CLI::App& app) {
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
        known.push_back(option->get_name());
    }
    for (const CLI::App* verb : app.get_subcommands({})) {
        known.push_back(verb->get_name());
    }
    const auto extras = app.remaining(true);
    const std::string word = extras.empty() ? std::string() : extras.front();
    std::string text = format("{} is not understood", in_quotes(word));
    if (const auto nearest = find_nearest(word, known)) {
        text += format("; did you mean {}?", *nearest);
    }
    return text;
}

/// "--pre" of "--pre: 1 required TEXT missing".
std::string take_first_word(std::string_view text) {
    return std::string(text.substr(0, text.find_first_of(": ")));
}

/// Of "--lora: At Most 1 required but received 2", "--lora: 1 required TEXT missing".
std::string describe_count(const CLI::App& app, const std::string& text) {
    const std::string option = take_first_word(text);
    const std::vector<std::string> words = split(text, ' ');
    if (text.find(" required but received ") == std::string::npos || words.back() == "0") {
        return format("{} needs a value", option);
    }
    if (words[3] == "1") {
        return format("{} is given more than once", option);
    }
    return format("{} takes {} values, as {}; it got {}",
                  option,
                  words[3],
                  app.get_option(option)->get_default_str(),
                  words.back());
}

/// The library's words as sentences.
std::string describe(const CLI::App& app, const CLI::ParseError& error) {
    const std::string text = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
        return describe_unknown_word(app);
    }
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && text.starts_with("-")) {
        return describe_count(app, text);
    }
    if (dynamic_cast<const CLI::RequiresError*>(&error) != nullptr) {
        return text + ", which is not given";
    }
    if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
        return text + "; give one of them";
    }
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
        text.starts_with("A subcommand")) {
        return app.remaining(true).empty() ? "no verb was given" : describe_unknown_word(app);
    }
    constexpr std::string_view not_converted = "Could not convert: ";
    if (text.starts_with(not_converted)) {
        const std::vector<std::string> parts = split(text.substr(not_converted.size()), '=');
        const std::string value = parts.size() > 1 ? parts[1] : std::string();
        return format("{} does not take {}",
                      take_first_word(parts.front()),
                      in_quotes(value.substr(value.find_first_not_of(' ') == std::string::npos
                                                 ? 0
                                                 : value.find_first_not_of(' '))));
    }
    return text;
}

}  // namespace

std::string describe_parse_error(const CLI::App& app, const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    const CLI::App& nearest = chosen.empty() ? app : *chosen.front();
    std::string text = describe(nearest, error);
    for (char& c : text) {
        c = c == '\n' ? ' ' : c;
    }
    return format("{} (see 'anamnesis{} --help')",
                  text,
                  chosen.empty() ? std::string() : " " + nearest.get_name());
}

}  // namespace anamnesis::app
