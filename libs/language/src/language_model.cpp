// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

std::string_view to_string(FinishReason reason) noexcept {
    switch (reason) {
        case FinishReason::end_of_text:
            return "end_of_text";
        case FinishReason::stop_string:
            return "stop_string";
        case FinishReason::length:
            return "length";
        case FinishReason::cancelled:
            return "cancelled";
    }
    return "?";
}

}  // namespace anamnesis::language
