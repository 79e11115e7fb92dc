// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "argument_reader.hpp"
#include "code_points.hpp"
#include "filters.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "text_operations.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

Value upper(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("upper", {}, arguments);
    return {to_upper(to_text(operand)), operand.is_markup()};
}

Value lower(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("lower", {}, arguments);
    return {to_lower(to_text(operand)), operand.is_markup()};
}

Value capitalize(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("capitalize", {}, arguments);
    return {capitalise(to_text(operand)), operand.is_markup()};
}

/// Words begin after white space, hyphens and opening brackets.
Value title(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("title", {}, arguments);
    const std::string text = to_text(operand);
    std::string result;
    bool begins_word = true;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        const char32_t code = next_character(text, at);
        const std::string_view character = std::string_view(text).substr(begin, at - begin);
        const bool is_border = is_white_space(code) ||
                               std::string_view("-({[<").find(character) != std::string_view::npos;
        result += is_border     ? std::string(character)
                  : begins_word ? to_upper(character)
                                : to_lower(character);
        begins_word = is_border;
    }
    return result;
}

Value trim(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("trim", {"chars"}, arguments);
    const std::string text = to_text(operand);
    const Value* given = reader.find("chars");
    if (given == nullptr || given->is_none()) {
        return {std::string(strip_left(strip_right(text))), operand.is_markup()};
    }
    const std::string& characters = reader.require_text("chars");
    return {std::string(strip_left(strip_right(text, characters), characters)),
            operand.is_markup()};
}

Value replace(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("replace", {"old", "new", "count"}, arguments);
    return replace_parts(to_text(operand),
                         to_text(reader.require("old")),
                         to_text(reader.require("new")),
                         reader.get_whole("count", -1));
}

Value string(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("string", {}, arguments);
    return {to_text(operand), operand.is_markup()};
}

Value safe(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("safe", {}, arguments);
    return {to_text(operand), true};
}

Value escape(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("escape", {}, arguments);
    return operand.is_markup() ? operand : Value(escape_markup(to_text(operand)), true);
}

Value forceescape(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("forceescape", {}, arguments);
    return {escape_markup(to_text(operand)), true};
}

Value indent(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("indent", {"width", "first", "blank"}, arguments);
    const Value width = reader.get("width", std::int64_t{4});
    const std::string margin = width.text() != nullptr
                                   ? *width.text()
                                   : *compute("*", " ", reader.get_whole("width", 4)).text();
    if (operand.text() == nullptr) {
        throw Error(ErrorKind::usage, format("'indent' needs a text, not {}", operand.type_name()));
    }
    std::vector<std::string> lines = split_lines(*operand.text() + "\n");
    std::string result = reader.get_flag("first", false) ? margin : "";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        result += i == 0 ? "" : "\n";
        const bool is_empty = lines[i].empty() && !reader.get_flag("blank", false);
        result += i == 0 || is_empty ? "" : margin;
        result += lines[i];
        check_bytes(result.size());
    }
    return result;
}

Value center(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("center", {"width"}, arguments);
    return centre(to_text(operand), reader.get_whole("width", 80));
}

Value format_text(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    if (!arguments.named.empty()) {
        Dict named;
        for (const auto& [name, value] : arguments.named) {
            named.set(name, value);
        }
        return format_by_percent(to_text(operand), named);
    }
    return format_by_percent(to_text(operand), Value::tuple(arguments.positional));
}

/// Runs of letters, digits and underscores.
Value wordcount(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("wordcount", {}, arguments);
    const std::string text = to_text(operand);
    std::int64_t words = 0;
    bool is_inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        next_character(text, at);
        const std::string_view character = std::string_view(text).substr(begin, at - begin);
        const bool belongs = character == "_" || test_characters(character, "isalnum");
        words += belongs && !is_inside ? 1 : 0;
        is_inside = belongs;
    }
    return words;
}

Value truncate(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("truncate", {"length", "killwords", "end", "leeway"}, arguments);
    const std::int64_t length = reader.get_whole("length", 255);
    const std::string end = reader.get_text("end", "...");
    const std::int64_t leeway = reader.get_whole("leeway", 5);
    if (length < count_characters(end) || leeway < 0) {
        throw Error(ErrorKind::usage, "'truncate' needs a length of at least that of its end");
    }
    if (count_items(operand) <= length + leeway) {
        return operand;
    }
    if (operand.text() == nullptr) {
        throw Error(ErrorKind::usage,
                    format("'truncate' needs a text, not {}", operand.type_name()));
    }
    const std::string& text = *operand.text();
    const auto kept = static_cast<std::size_t>(length - count_characters(end));
    std::string result = text.substr(0, find_characters(text)[kept]);
    if (!reader.get_flag("killwords", false)) {
        result = result.substr(0, result.rfind(' '));
    }
    return result + end;
}

Value join(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("join", {"d", "attribute"}, arguments);
    std::vector<Value> items = list_items(operand);
    const Value attribute = reader.get("attribute", Value());
    if (!attribute.is_none()) {
        for (Value& item : items) {
            item = get_path(item, attribute);
        }
    }
    return join_texts(to_text(reader.get("d", "")), items);
}

constexpr std::array<std::pair<std::string_view, FilterFunction>, 17> filters{{
    {"upper", upper},
    {"lower", lower},
    {"capitalize", capitalize},
    {"title", title},
    {"trim", trim},
    {"replace", replace},
    {"string", string},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"forceescape", forceescape},
    {"indent", indent},
    {"center", center},
    {"format", format_text},
    {"join", join},
    {"wordcount", wordcount},
    {"truncate", truncate},
}};

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
    const auto found =
        std::ranges::find(filters, name, [](const auto& filter) { return filter.first; });
    return found == filters.end() ? nullptr : found->second;
}

}  // namespace anamnesis::language::jinja
