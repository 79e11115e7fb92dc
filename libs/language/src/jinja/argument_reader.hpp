// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// The arguments of a call by the names of its parameters.
class ArgumentReader {
public:
    /// Errors: `usage` for too many arguments, a name that is no parameter, or one given twice.
    ArgumentReader(std::string_view function,
                   std::initializer_list<std::string_view> parameters,
                   const Arguments& arguments);

    /// Null where it was not given.
    const Value* find(std::string_view parameter) const;
    Value get(std::string_view parameter, const Value& otherwise) const;

    /// Errors: `usage` where it was not given, or is of another type.
    const Value& require(std::string_view parameter) const;
    const std::string& require_text(std::string_view parameter) const;
    std::int64_t require_whole(std::string_view parameter) const;

    /// Of the type, or what is given where the argument is not there or None.
    /// Errors: `usage` for another type.
    std::string get_text(std::string_view parameter, std::string_view otherwise) const;
    std::int64_t get_whole(std::string_view parameter, std::int64_t otherwise) const;
    bool get_flag(std::string_view parameter, bool otherwise) const;

private:
    [[noreturn]] void refuse(const std::string& what) const;

    std::string_view function_;
    std::vector<std::string_view> parameters_;
    std::vector<const Value*> values_;
};

}  // namespace anamnesis::language::jinja
