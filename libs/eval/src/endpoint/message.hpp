// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// Reads the text of a chat's answer. Reasoning parsers of servers put thinking aside; it belongs
/// to the text. False where there is neither content nor thinking.
/// Errors: `malformed` for content that is neither text nor a list of parts.
bool read_message(const Json& message, language::FinishReason finish, Answer& answer);

}  // namespace anamnesis::eval
