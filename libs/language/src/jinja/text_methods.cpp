// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "code_points.hpp"
#include "methods.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "text_operations.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();

/// What Python's str has.
constexpr std::array<std::string_view, 47> names{
    "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
    "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
    "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
    "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
    "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
    "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
    "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
    "swapcase",     "title",       "translate", "upper",      "zfill"};

Value make_list(const std::vector<std::string>& texts) {
    std::vector<Value> items(texts.begin(), texts.end());
    check_items(items.size());
    return Value::list(std::move(items));
}

/// Linear time, which rfind() is not.
std::size_t find_last_part(std::string_view text, std::string_view part) {
    const std::string reversed_text(text.rbegin(), text.rend());
    const std::string reversed_part(part.rbegin(), part.rend());
    const std::size_t found = find_part(reversed_text, reversed_part);
    return found == npos ? npos : text.size() - found - part.size();
}

/// At most `most` cuts at white space, from the left or from the right.
std::vector<std::string> split_at_white_space(std::string_view text,
                                              std::int64_t most,
                                              bool from_right) {
    std::vector<std::string> parts;
    std::string_view rest = from_right ? strip_right(text) : strip_left(text);
    while (!rest.empty()) {
        if (most-- == 0) {
            parts.emplace_back(from_right ? strip_right(rest) : rest);
            break;
        }
        std::size_t cut = 0;
        if (from_right) {
            cut = rest.size();
            while (cut > 0 && strip_right(rest.substr(0, cut)).size() == cut) {
                --cut;
                while (cut > 0 && (static_cast<unsigned char>(rest[cut]) & 0xC0U) == 0x80U) {
                    --cut;
                }
            }
            parts.emplace_back(rest.substr(cut));
            rest = strip_right(rest.substr(0, cut));
        } else {
            while (cut < rest.size() && strip_left(rest.substr(cut)).size() == rest.size() - cut) {
                ++cut;
                while (cut < rest.size() &&
                       (static_cast<unsigned char>(rest[cut]) & 0xC0U) == 0x80U) {
                    ++cut;
                }
            }
            parts.emplace_back(rest.substr(0, cut));
            rest = strip_left(rest.substr(cut));
        }
    }
    if (from_right) {
        std::ranges::reverse(parts);
    }
    return parts;
}

std::vector<std::string> split_at(std::string_view text,
                                  std::string_view separator,
                                  std::int64_t most,
                                  bool from_right) {
    if (separator.empty()) {
        throw Error(ErrorKind::usage, "'split' has an empty separator");
    }
    std::vector<std::string> parts;
    while (most-- != 0) {
        const std::size_t cut =
            from_right ? find_last_part(text, separator) : find_part(text, separator);
        if (cut == npos) {
            break;
        }
        if (from_right) {
            parts.emplace_back(text.substr(cut + separator.size()));
            text = text.substr(0, cut);
        } else {
            parts.emplace_back(text.substr(0, cut));
            text.remove_prefix(cut + separator.size());
        }
    }
    parts.emplace_back(text);
    if (from_right) {
        std::ranges::reverse(parts);
    }
    return parts;
}

Value split_text(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"sep", "maxsplit"}, arguments);
    const Value* separator = reader.find("sep");
    const std::int64_t most = reader.get_whole("maxsplit", -1);
    const bool from_right = name == "rsplit";
    if (separator == nullptr || separator->is_none()) {
        return make_list(split_at_white_space(text, most < 0 ? no_limit : most, from_right));
    }
    return make_list(
        split_at(text, reader.require_text("sep"), most < 0 ? no_limit : most, from_right));
}

Value strip_text(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"chars"}, arguments);
    const Value* given = reader.find("chars");
    if (given == nullptr || given->is_none()) {
        text = name == "rstrip" ? text : strip_left(text);
        return name == "lstrip" ? text : strip_right(text);
    }
    const std::string& characters = reader.require_text("chars");
    text = name == "rstrip" ? text : strip_left(text, characters);
    return name == "lstrip" ? text : strip_right(text, characters);
}

Value test_end(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"part"}, arguments);
    const Value& part = reader.require("part");
    std::vector<Value> parts{part};
    if (const Sequence* several = part.sequence();
        several != nullptr && several->kind == Sequence::Kind::tuple) {
        parts = several->items;
    }
    for (const Value& one : parts) {
        if (one.text() == nullptr) {
            throw Error(ErrorKind::usage,
                        format("'{}' needs a text, not {}", name, one.type_name()));
        }
        if (name == "startswith" ? text.starts_with(*one.text()) : text.ends_with(*one.text())) {
            return true;
        }
    }
    return false;
}

Value partition(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"sep"}, arguments);
    const std::string& separator = reader.require_text("sep");
    if (separator.empty()) {
        throw Error(ErrorKind::usage, format("'{}' has an empty separator", name));
    }
    const bool from_right = name == "rpartition";
    const std::size_t cut =
        from_right ? find_last_part(text, separator) : find_part(text, separator);
    if (cut == npos) {
        return from_right ? Value::tuple({"", "", text}) : Value::tuple({text, "", ""});
    }
    return Value::tuple({text.substr(0, cut), separator, text.substr(cut + separator.size())});
}

/// `find`, `rfind`, `index`, `rindex`, `count`.
Value search(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"part"}, arguments);
    const std::string& part = reader.require_text("part");
    if (name == "count") {
        std::int64_t count = part.empty() ? count_characters(text) + 1 : 0;
        for (std::size_t at = part.empty() ? npos : find_part(text, part); at != npos;
             at = find_part(text, part, at + part.size())) {
            ++count;
        }
        return count;
    }
    const std::size_t found =
        name.starts_with('r') ? find_last_part(text, part) : find_part(text, part);
    if (found == npos && name.ends_with("index")) {
        throw Error(ErrorKind::usage, format("'{}' found no {}", name, in_quotes(part)));
    }
    return found == npos ? -1 : count_characters(text.substr(0, found));
}

Value justify(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"width", "fillchar"}, arguments);
    const std::int64_t width = reader.require_whole("width");
    const std::string fill = name == "zfill" ? "0" : reader.get_text("fillchar", " ");
    if (count_characters(fill) != 1) {
        throw Error(ErrorKind::usage, format("'{}' fills with one character", name));
    }
    if (name == "center") {
        return centre(text, width, fill);
    }
    const std::int64_t missing = std::max<std::int64_t>(width - count_characters(text), 0);
    check_bytes(static_cast<std::size_t>(missing) * fill.size() + text.size());
    std::string padding;
    for (std::int64_t i = 0; i < missing; ++i) {
        padding += fill;
    }
    if (name == "ljust") {
        return std::string(text) + padding;
    }
    const bool has_sign = name == "zfill" && (text.starts_with('+') || text.starts_with('-'));
    return std::string(text.substr(0, has_sign ? 1 : 0)) + padding +
           std::string(text.substr(has_sign ? 1 : 0));
}

Value join_items(std::string_view text, const Arguments& arguments) {
    const ArgumentReader reader("join", {"items"}, arguments);
    const std::vector<Value> items = list_items(reader.require("items"));
    for (const Value& item : items) {
        if (item.text() == nullptr) {
            throw Error(ErrorKind::usage, format("'join' needs texts, not {}", item.type_name()));
        }
    }
    return join_texts(text, items);
}

Value change_text(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader none(name, {}, arguments);
    if (name == "upper") {
        return to_upper(text);
    }
    if (name == "lower") {
        return to_lower(text);
    }
    if (name == "capitalize") {
        return capitalise(text);
    }
    if (name == "swapcase") {
        return swap_case(text);
    }
    return name == "title" ? Value(to_title(text)) : Value(test_characters(text, name));
}

Value remove_end(std::string_view text, std::string_view name, const Arguments& arguments) {
    const ArgumentReader reader(name, {"part"}, arguments);
    const std::string& part = reader.require_text("part");
    if (name == "removeprefix") {
        return text.starts_with(part) ? text.substr(part.size()) : text;
    }
    return text.ends_with(part) ? text.substr(0, text.size() - part.size()) : text;
}

Value replace_text(std::string_view text, const Arguments& arguments) {
    const ArgumentReader reader("replace", {"old", "new", "count"}, arguments);
    return replace_parts(text,
                         reader.require_text("old"),
                         reader.require_text("new"),
                         reader.get_whole("count", -1));
}

using Method = Value (*)(std::string_view, std::string_view, const Arguments&);

/// Methods of one function, by their names.
Method find_shared(std::string_view name) {
    const auto is = [&](std::initializer_list<std::string_view> known) {
        return std::ranges::find(known, name) != known.end();
    };
    if (is({"strip", "lstrip", "rstrip"})) {
        return strip_text;
    }
    if (is({"split", "rsplit"})) {
        return split_text;
    }
    if (is({"startswith", "endswith"})) {
        return test_end;
    }
    if (is({"partition", "rpartition"})) {
        return partition;
    }
    if (is({"find", "rfind", "index", "rindex", "count"})) {
        return search;
    }
    if (is({"center", "ljust", "rjust", "zfill"})) {
        return justify;
    }
    if (is({"removeprefix", "removesuffix"})) {
        return remove_end;
    }
    if (is({"upper",
            "lower",
            "capitalize",
            "title",
            "swapcase",
            "isspace",
            "isalpha",
            "isascii",
            "isdecimal",
            "isupper",
            "islower",
            "isdigit",
            "isnumeric",
            "isalnum"})) {
        return change_text;
    }
    return nullptr;
}

}  // namespace

bool is_text_method(std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

Value call_text_method(const Value& object, std::string_view name, const Arguments& arguments) {
    const std::string_view text = *object.text();
    if (object.is_markup()) {
        throw Error(ErrorKind::unsupported,
                    format("the method '{}' of a text marked as safe is not supported", name));
    }
    if (const Method method = find_shared(name)) {
        return method(text, name, arguments);
    }
    if (name == "join") {
        return join_items(text, arguments);
    }
    if (name == "replace") {
        return replace_text(text, arguments);
    }
    if (name == "splitlines") {
        const ArgumentReader reader(name, {"keepends"}, arguments);
        return make_list(split_lines(text, reader.get_flag("keepends", false)));
    }
    if (name == "format") {
        return format_by_braces(text, arguments);
    }
    throw Error(ErrorKind::unsupported, format("the method '{}' of a text is not supported", name));
}

}  // namespace anamnesis::language::jinja
