// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/ruler/counted_text.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"

namespace anamnesis::eval {

std::string replace_all(std::string text, std::string_view from, std::string_view to);

/// RULER's plain replacements for one needle, in its order.
std::string make_singular(std::string text);

/// "One of the special magic numbers for KEY is: VALUE."
std::string make_needle_sentence(NeedleKind kind, std::string_view key, std::string_view value);

/// "a, b, and c"
std::string join_keys(const std::vector<std::string>& keys);

/// `' '.join(text.replace('\n', ' ').replace('\t', ' ').strip().split())`
std::string remove_newlines(std::string_view text);

/// The text of all parts.
std::string join_parts(const std::vector<PromptPart>& parts);

/// The parts of the first `bytes` of the text.
std::vector<PromptPart> take_first_bytes(const std::vector<PromptPart>& parts, std::size_t bytes);

std::size_t count_code_points(std::string_view text);

}  // namespace anamnesis::eval
