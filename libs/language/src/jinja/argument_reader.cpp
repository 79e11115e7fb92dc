// SPDX-License-Identifier: Apache-2.0
#include "argument_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "value.hpp"

namespace anamnesis::language::jinja {

ArgumentReader::ArgumentReader(std::string_view function,
                               std::initializer_list<std::string_view> parameters,
                               const Arguments& arguments)
    : function_(function), parameters_(parameters), values_(parameters.size(), nullptr) {
    if (arguments.positional.size() > parameters_.size()) {
        refuse(format("takes at most {} arguments, {} are given",
                      parameters_.size(),
                      arguments.positional.size()));
    }
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
        values_[i] = &arguments.positional[i];
    }
    for (const auto& [name, value] : arguments.named) {
        const auto found = std::ranges::find(parameters_, name);
        if (found == parameters_.end()) {
            refuse(format("has no argument {}", in_quotes(name)));
        }
        const Value*& slot = values_[static_cast<std::size_t>(found - parameters_.begin())];
        if (slot != nullptr) {
            refuse(format("is given {} twice", in_quotes(name)));
        }
        slot = &value;
    }
}

void ArgumentReader::refuse(const std::string& what) const {
    throw Error(ErrorKind::usage, format("'{}' {}", function_, what));
}

const Value* ArgumentReader::find(std::string_view parameter) const {
    const auto found = std::ranges::find(parameters_, parameter);
    ANAMNESIS_CHECK(found != parameters_.end(), "only declared parameters are read");
    return values_[static_cast<std::size_t>(found - parameters_.begin())];
}

Value ArgumentReader::get(std::string_view parameter, const Value& otherwise) const {
    const Value* value = find(parameter);
    return value == nullptr ? otherwise : *value;
}

const Value& ArgumentReader::require(std::string_view parameter) const {
    const Value* value = find(parameter);
    if (value == nullptr) {
        refuse(format("needs the argument '{}'", parameter));
    }
    return *value;
}

const std::string& ArgumentReader::require_text(std::string_view parameter) const {
    const Value& value = require(parameter);
    if (value.text() == nullptr) {
        refuse(format("needs a text as '{}', not {}", parameter, value.type_name()));
    }
    return *value.text();
}

std::int64_t ArgumentReader::require_whole(std::string_view parameter) const {
    const Value& value = require(parameter);
    const std::optional<std::int64_t> whole = value.integer();
    if (!whole) {
        refuse(format("needs a whole number as '{}', not {}", parameter, value.type_name()));
    }
    return *whole;
}

std::string ArgumentReader::get_text(std::string_view parameter, std::string_view otherwise) const {
    const Value* value = find(parameter);
    return value == nullptr || value->is_none() ? std::string(otherwise) : require_text(parameter);
}

std::int64_t ArgumentReader::get_whole(std::string_view parameter, std::int64_t otherwise) const {
    const Value* value = find(parameter);
    return value == nullptr || value->is_none() ? otherwise : require_whole(parameter);
}

bool ArgumentReader::get_flag(std::string_view parameter, bool otherwise) const {
    const Value* value = find(parameter);
    return value == nullptr ? otherwise : value->is_true();
}

}  // namespace anamnesis::language::jinja
