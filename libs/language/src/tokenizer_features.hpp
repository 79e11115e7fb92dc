// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {

/// Errors: `unsupported`, naming what is asked for.
[[noreturn]] inline void refuse_feature(std::string_view what, std::string_view value) {
    throw Error(ErrorKind::unsupported, format("{} {} is not supported", what, in_quotes(value)));
}

/// Whether the object has the key with a value other than null.
inline bool is_set(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value != nullptr && !value->is_null();
}

inline bool find_flag(const Json& object, std::string_view key, bool otherwise = false) {
    return is_set(object, key) ? object.at(key).as_boolean(key) : otherwise;
}

}  // namespace anamnesis::language
