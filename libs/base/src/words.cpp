// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/words.hpp"

#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis {

void refuse_word(ErrorKind kind,
                 std::string_view what,
                 std::string_view word,
                 std::span<const std::string> known) {
    throw Error(kind,
                format("{} {} is unknown; there are {}", what, in_quotes(word), join(known, ", ")));
}

}  // namespace anamnesis
