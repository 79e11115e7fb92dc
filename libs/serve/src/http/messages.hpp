// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"

#include "http/fields.hpp"

namespace anamnesis::serve {

/// The messages of a chat, as templates of language models read them: a content that is a list of
/// texts is one text.
/// Errors: `usage`, naming the message and its member, what was expected and what was found.
Json parse_messages(const Fields& fields);

}  // namespace anamnesis::serve
