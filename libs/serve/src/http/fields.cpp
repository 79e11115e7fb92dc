// SPDX-License-Identifier: Apache-2.0
#include "http/fields.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::serve {
namespace {

/// Whether a value asks for nothing.
bool is_neutral(const Json& value, double neutral) {
    if (value.is_number()) {
        const double number = value.as_double("a number");
        return number == 0.0 || number == neutral;
    }
    if (value.is_boolean()) {
        return !value.as_boolean("a switch");
    }
    if (value.is_string()) {
        return value.as_string("a text").empty();
    }
    return value.is_null() || (value.is_array() && value.as_array("a list").empty()) ||
           (value.is_object() && value.as_object("an object").empty());
}

}  // namespace

void refuse_member(std::string_view name,
                   std::string_view expected,
                   const Json& found,
                   std::string_view where) {
    throw Error(ErrorKind::usage,
                format("'{}'{}{} is {}, not {}",
                       name,
                       where.empty() ? "" : " of ",
                       where,
                       expected,
                       in_quotes(found.dump(), 60)));
}

Fields::Fields(const Json& body) : body_(body) {
    if (!body.is_object()) {
        throw Error(
            ErrorKind::usage,
            format("the body of a request is a JSON object, not {}", in_quotes(body.dump(), 60)));
    }
}

const Json* Fields::find(std::string_view name) const {
    const Json* value = body_.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<bool> Fields::boolean(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_boolean()) {
        refuse_member(name, "true or false", *value);
    }
    return value->as_boolean(name);
}

std::optional<std::int64_t> Fields::integer(std::string_view name,
                                            std::int64_t least,
                                            std::int64_t most) const {
    const auto expected = [&] { return format("a whole number from {} to {}", least, most); };
    const Json* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    try {
        const std::int64_t number = value->as_integer(name);
        if (number >= least && number <= most) {
            return number;
        }
    } catch (const Error&) {
        refuse_member(name, expected(), *value);
    }
    refuse_member(name, expected(), *value);
}

std::optional<double> Fields::number(std::string_view name, double least, double most) const {
    const Json* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const double number = value->is_number() ? value->as_double(name) : least - 1.0;
    if (!(number >= least && number <= most)) {
        refuse_member(name, format("a number from {} to {}", least, most), *value);
    }
    return number;
}

std::optional<std::string> Fields::text(std::string_view name,
                                        std::optional<std::size_t> most) const {
    const Json* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_string() || (most && value->as_string(name).size() > *most)) {
        refuse_member(name, most ? format("a text of at most {} bytes", *most) : "a text", *value);
    }
    return value->as_string(name);
}

void Fields::refuse(std::initializer_list<std::string_view> names, double neutral) const {
    for (const std::string_view name : names) {
        const Json* value = find(name);
        if (value != nullptr && !is_neutral(*value, neutral)) {
            throw Error(ErrorKind::usage, format("'{}' is not supported; leave it out", name));
        }
    }
}

}  // namespace anamnesis::serve
