// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "document_blocks.hpp"

namespace anamnesis::testing {

/// The description that docs/json.md gives of the output of a verb.
inline Json read_schema(const std::string& verb) {
    for (const DocumentBlock& block : read_blocks("json.md", "schema ")) {
        if (block.info == "schema " + verb) {
            return Json::parse(block.text());
        }
    }
    throw std::runtime_error("docs/json.md has no schema of " + verb);
}

inline bool is_integer(const Json& value) {
    return value.is_number() && value.dump().find_first_of(".eE") == std::string::npos;
}

inline bool has_type(const Json& value, const std::string& type) {
    if (type == "any") {
        return true;
    }
    if (type == "string") {
        return value.is_string();
    }
    if (type == "boolean") {
        return value.is_boolean();
    }
    if (type == "integer") {
        return is_integer(value);
    }
    if (type == "number") {
        return value.is_number() || value.is_null();
    }
    if (type == "null") {
        return value.is_null();
    }
    throw std::runtime_error("the type " + type + " is unknown");
}

inline bool has_one_of_types(const Json& value, std::string types) {
    constexpr std::string_view separator = " or ";
    for (std::size_t at = types.find(separator); at != std::string::npos;
         at = types.find(separator)) {
        if (has_type(value, types.substr(0, at))) {
            return true;
        }
        types.erase(0, at + separator.size());
    }
    return has_type(value, types);
}

/// Where `value` differs from its description, one line each.
inline std::vector<std::string> find_deviations(const Json& value,
                                                const Json& schema,
                                                const std::string& place = "$") {
    std::vector<std::string> deviations;
    const auto take = [&](const std::vector<std::string>& more) {
        deviations.insert(deviations.end(), more.begin(), more.end());
    };
    if (schema.is_string()) {
        if (!has_one_of_types(value, schema.as_string("type"))) {
            deviations.push_back(place + " is " + value.dump() + ", not " + schema.dump());
        }
        return deviations;
    }
    if (schema.is_array()) {
        if (!value.is_array()) {
            return {place + " is no array"};
        }
        for (const Json& element : value.as_array("array")) {
            take(find_deviations(element, schema.as_array("array").front(), place + "[]"));
        }
        return deviations;
    }
    if (!value.is_object()) {
        return {place + " is no object"};
    }
    for (const auto& [key, inner] : schema.as_object("schema")) {
        const bool is_optional = key.ends_with('?');
        const std::string name = is_optional ? key.substr(0, key.size() - 1) : key;
        if (const Json* member = value.find(name)) {
            take(find_deviations(*member, inner, place + "." + name));
        } else if (!is_optional && name != "*") {
            deviations.push_back(place + "." + name + " is missing");
        }
    }
    for (const auto& [key, member] : value.as_object("object")) {
        if (schema.find(key) == nullptr && schema.find(key + "?") == nullptr) {
            const Json* rest = schema.find("*");
            if (rest == nullptr) {
                deviations.push_back(place + "." + key + " is not described");
            } else {
                take(find_deviations(member, *rest, place + "." + key));
            }
        }
    }
    return deviations;
}

}  // namespace anamnesis::testing
