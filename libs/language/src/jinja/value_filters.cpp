// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "attributes.hpp"
#include "code_points.hpp"
#include "filters.hpp"
#include "json_text.hpp"
#include "operators.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

Value choose_default(Interpreter& /*interpreter*/,
                     const Value& operand,
                     const Arguments& arguments) {
    const ArgumentReader reader("default", {"default_value", "boolean"}, arguments);
    const bool is_missing =
        operand.is_undefined() || (reader.get_flag("boolean", false) && !operand.is_true());
    return is_missing ? reader.get("default_value", "") : operand;
}

Value absolute(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("abs", {}, arguments);
    if (operand.get_if<double>() != nullptr) {
        return std::fabs(*operand.real());
    }
    const std::optional<std::int64_t> whole = operand.integer();
    if (!whole) {
        throw Error(ErrorKind::usage, format("'abs' needs a number, not {}", operand.type_name()));
    }
    return *whole < 0 ? negate(*whole) : Value(*whole);
}

/// A decimal number as Python reads it from a text: white space around it, single underscores
/// inside.
std::optional<std::string> find_number(const std::string& text) {
    std::string number(strip_left(strip_right(text)));
    for (std::size_t i = 0; i < number.size(); ++i) {
        if (number[i] == '_' && (i == 0 || i + 1 == number.size() || number[i - 1] == '_')) {
            return std::nullopt;
        }
    }
    std::erase(number, '_');
    const bool is_plain = number.find_first_not_of("+-.0123456789eE") == std::string::npos;
    return is_plain && number.find_first_of("0123456789") != std::string::npos
               ? std::optional(number)
               : std::nullopt;
}

std::optional<std::int64_t> read_whole(const std::string& text) {
    const std::optional<std::string> number = find_number(text);
    if (!number) {
        return std::nullopt;
    }
    const char* begin = number->data() + (number->front() == '+' ? 1 : 0);
    const char* end = number->data() + number->size();
    std::int64_t value = 0;
    const auto read = std::from_chars(begin, end, value);
    if (read.ec == std::errc::result_out_of_range) {
        throw Error(ErrorKind::unsupported, "whole numbers beyond 64 bits are not supported");
    }
    return read.ec == std::errc() && read.ptr == end ? std::optional(value) : std::nullopt;
}

std::optional<double> read_real(const std::string& text) {
    const std::optional<std::string> number = find_number(text);
    if (!number) {
        return std::nullopt;
    }
    char* end = nullptr;
    const double value = std::strtod(number->c_str(), &end);
    return end == number->c_str() + number->size() ? std::optional(value) : std::nullopt;
}

void refuse_undefined(const Value& operand) {
    if (const auto* undefined = operand.get_if<Undefined>()) {
        throw Error(ErrorKind::usage, undefined->what);
    }
}

Value to_whole(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("int", {"default", "base"}, arguments);
    if (reader.get_whole("base", 10) != 10) {
        throw Error(ErrorKind::unsupported, "'int' in another base than 10 is not supported");
    }
    refuse_undefined(operand);
    if (const std::optional<std::int64_t> whole = operand.integer()) {
        return *whole;
    }
    std::optional<double> number = operand.real();
    if (const std::string* text = operand.text()) {
        if (const std::optional<std::int64_t> whole = read_whole(*text)) {
            return *whole;
        }
        number = read_real(*text);
    }
    constexpr double beyond = 9.2e18;
    if (!number || !std::isfinite(*number)) {
        return reader.get("default", std::int64_t{0});
    }
    if (std::fabs(*number) > beyond) {
        throw Error(ErrorKind::unsupported, "whole numbers beyond 64 bits are not supported");
    }
    return static_cast<std::int64_t>(*number);
}

Value to_real(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("float", {"default"}, arguments);
    refuse_undefined(operand);
    std::optional<double> number = operand.real();
    if (const std::string* text = operand.text()) {
        number = read_real(*text);
    }
    return number ? Value(*number) : reader.get("default", 0.0);
}

Value round_number(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("round", {"precision", "method"}, arguments);
    const std::int64_t precision = reader.get_whole("precision", 0);
    const std::string method = reader.get_text("method", "common");
    const std::optional<double> number = operand.real();
    if (!number) {
        throw Error(ErrorKind::usage,
                    format("'round' needs a number, not {}", operand.type_name()));
    }
    if (precision < 0 || precision > 20) {
        throw Error(ErrorKind::unsupported, "'round' takes 0 to 20 digits");
    }
    if (method == "common") {
        if (const std::optional<std::int64_t> whole = operand.integer()) {
            return *whole;
        }
        return std::strtod(fmt::format("{:.{}f}", *number, precision).c_str(), nullptr);
    }
    if (method != "ceil" && method != "floor") {
        throw Error(ErrorKind::usage, "'round' goes by 'common', 'ceil' or 'floor'");
    }
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = *number * scale;
    return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value attr(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("attr", {"name"}, arguments);
    const std::string& name = reader.require_text("name");
    if (operand.dict() != nullptr && !name.starts_with("_")) {
        Value method = find_method(operand, name);
        return method.is_undefined()
                   ? Value(Undefined{format("a dict has no attribute '{}'", name)})
                   : method;
    }
    return get_attribute(operand, name);
}

Value tojson(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader(
        "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, arguments);
    JsonStyle style{.is_ascii = reader.get_flag("ensure_ascii", false),
                    .sorts_keys = reader.get_flag("sort_keys", false)};
    const Value indent = reader.get("indent", Value());
    if (indent.text() != nullptr) {
        style.indent = *indent.text();
    } else if (!indent.is_none()) {
        style.indent = *compute("*", " ", reader.get_whole("indent", 0)).text();
    }
    style.item_separator = style.indent ? "," : ", ";
    const Value separators = reader.get("separators", Value());
    if (!separators.is_none()) {
        const std::vector<Value> pair = list_items(separators);
        if (pair.size() != 2 || pair[0].text() == nullptr || pair[1].text() == nullptr) {
            throw Error(ErrorKind::usage, "'tojson' needs two texts as separators");
        }
        style.item_separator = *pair[0].text();
        style.key_separator = *pair[1].text();
    }
    return write_json(operand, style);
}

constexpr std::array<std::pair<std::string_view, FilterFunction>, 8> filters{{
    {"default", choose_default},
    {"d", choose_default},
    {"abs", absolute},
    {"int", to_whole},
    {"float", to_real},
    {"round", round_number},
    {"attr", attr},
    {"tojson", tojson},
}};

}  // namespace

FilterFunction find_value_filter(std::string_view name) {
    const auto found =
        std::ranges::find(filters, name, [](const auto& filter) { return filter.first; });
    return found == filters.end() ? nullptr : found->second;
}

}  // namespace anamnesis::language::jinja
