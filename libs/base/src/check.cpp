// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/check.hpp"

#include <source_location>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::detail {

void check_failed(std::string_view condition,
                  std::string_view text,
                  const std::source_location& where) {
    throw Error(ErrorKind::internal,
                format("{} ({} at {}:{})", text, condition, where.file_name(), where.line()));
}

}  // namespace anamnesis::detail
