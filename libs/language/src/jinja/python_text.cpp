// SPDX-License-Identifier: Apache-2.0
#include "python_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <utf8proc.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "operators.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

/// Nesting of values that JSON and literals cannot exceed.
constexpr int most_nested = 200;

bool is_printable(char32_t code) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
    switch (category) {
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return false;
        case UTF8PROC_CATEGORY_ZS:
            return code == ' ';
        default:
            return true;
    }
}

void append_escaped(std::string& result, char32_t code) {
    if (code == '\n') {
        result += "\\n";
    } else if (code == '\r') {
        result += "\\r";
    } else if (code == '\t') {
        result += "\\t";
    } else if (is_printable(code)) {
        append_utf8(result, code);
    } else if (code < 0x100) {
        result += format("\\x{:02x}", static_cast<std::uint32_t>(code));
    } else if (code < 0x10000) {
        result += format("\\u{:04x}", static_cast<std::uint32_t>(code));
    } else {
        result += format("\\U{:08x}", static_cast<std::uint32_t>(code));
    }
}

std::string quote(std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const bool has_double = text.find('"') != std::string_view::npos;
    const char mark = has_single && !has_double ? '"' : '\'';
    std::string result(1, mark);
    for (std::size_t at = 0; at < text.size();) {
        const char32_t code = next_character(text, at);
        if (code == static_cast<char32_t>(mark) || code == '\\') {
            result.push_back('\\');
            result.push_back(static_cast<char>(code));
        } else {
            append_escaped(result, code);
        }
    }
    result.push_back(mark);
    return result;
}

void append_represented(std::string& result, const Value& value, int depth);

void append_items(std::string& result, const Sequence& sequence, int depth) {
    const bool is_tuple = sequence.kind == Sequence::Kind::tuple;
    if (sequence.kind == Sequence::Kind::range && !sequence.name.empty()) {
        result += sequence.name;
        return;
    }
    if (sequence.kind == Sequence::Kind::view) {
        result += sequence.name + "(";
        append_represented(result, Value::list(sequence.items), depth);
        result.push_back(')');
        return;
    }
    if (sequence.kind != Sequence::Kind::list && !is_tuple) {
        throw Error(ErrorKind::unsupported,
                    format("printing a value of type {} is not supported; use the filter 'list'",
                           Value(sequence).type_name()));
    }
    result.push_back(is_tuple ? '(' : '[');
    for (std::size_t i = 0; i < sequence.items.size(); ++i) {
        result += i == 0 ? "" : ", ";
        append_represented(result, sequence.items[i], depth + 1);
    }
    result += is_tuple && sequence.items.size() == 1 ? "," : "";
    result.push_back(is_tuple ? ')' : ']');
}

void append_represented(std::string& result, const Value& value, int depth) {
    if (depth > most_nested) {
        throw Error(ErrorKind::exhausted, "a value is nested too deeply to be printed");
    }
    check_bytes(result.size());
    if (const std::string* text = value.text()) {
        result += value.is_markup() ? format("Markup({})", quote(*text)) : quote(*text);
    } else if (const Sequence* sequence = value.sequence()) {
        append_items(result, *sequence, depth);
    } else if (const Dict* dict = value.dict()) {
        result.push_back('{');
        for (std::size_t i = 0; i < dict->items.size(); ++i) {
            result += i == 0 ? "" : ", ";
            append_represented(result, dict->items[i].first, depth + 1);
            result += ": ";
            append_represented(result, dict->items[i].second, depth + 1);
        }
        result.push_back('}');
    } else if (const auto* flag = value.get_if<bool>()) {
        result += *flag ? "True" : "False";
    } else if (const auto* whole = value.get_if<std::int64_t>()) {
        result += std::to_string(*whole);
    } else if (const auto* number = value.get_if<double>()) {
        result += represent(*number);
    } else if (const auto* space = value.get_if<std::shared_ptr<Namespace>>()) {
        result += "<Namespace ";
        append_represented(result, (*space)->names, depth + 1);
        result.push_back('>');
    } else if (value.is_none()) {
        result += "None";
    } else if (value.is_undefined()) {
        result += "Undefined";
    } else {
        throw Error(ErrorKind::unsupported,
                    format("printing a value of type {} is not supported", value.type_name()));
    }
}

}  // namespace

std::string represent(double number) {
    if (std::isnan(number)) {
        return "nan";
    }
    if (std::isinf(number)) {
        return number < 0 ? "-inf" : "inf";
    }
    std::array<char, 64> buffer{};
    const auto scientific = std::to_chars(
        buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
    const std::string text(buffer.data(), scientific.ptr);
    const int exponent = std::atoi(text.c_str() + text.find('e') + 1);
    if (exponent < -4 || exponent >= 16) {
        return text;
    }
    const auto fixed = std::to_chars(
        buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed);
    std::string plain(buffer.data(), fixed.ptr);
    return plain.find('.') == std::string::npos ? plain + ".0" : plain;
}

std::string represent(const Value& value) {
    std::string result;
    append_represented(result, value, 0);
    check_bytes(result.size());
    return result;
}

std::string to_text(const Value& value) {
    if (const std::string* text = value.text()) {
        return *text;
    }
    return value.is_undefined() ? std::string() : represent(value);
}

}  // namespace anamnesis::language::jinja
