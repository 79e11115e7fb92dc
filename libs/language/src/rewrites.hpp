// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// The text with every `from`, which is not empty, put as `to`.
std::string replace_all(std::string_view text, const std::string& from, const std::string& to);

/// The text after the normaliser's steps, in turn. `begins_text`: it is the beginning of a whole
/// text.
std::string apply_rewrites(std::string_view text,
                           const std::vector<Rewrite>& steps,
                           bool begins_text = true);

}  // namespace anamnesis::language
