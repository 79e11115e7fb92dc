// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

/// The letter of an answer that is nothing but a choice: (C), C, "option C".
std::optional<char> find_choice(Tokens tokens);

/// The letter that an answer begins with, followed by its value or a reason: "(C) 42", "C. 42",
/// "C because …".
std::optional<char> find_leading_choice(Tokens tokens);

/// The letter of "(C)" or "C)", alone or before its value, of "C because …", or of \text{C} alone,
/// only where it can be nothing but a choice's: neither a factor nor a term, and not one of two.
std::optional<char> find_marked_choice(Tokens tokens);

/// Without the letter of a choice before a value: "(E) 27" is 27.
Tokens without_choice(Tokens tokens);

/// Whether a letter stands alone that may be a choice's.
bool names_choices(Tokens tokens);

/// Words in lower case and numbers, without articles.
std::vector<std::string> extract_words(Tokens tokens);

/// Whether an answer in words says what the gold answer says: the same words, or a phrase around
/// them ("due east", "Evelyn had the greatest speed") that neither negates nor offers another.
bool says_the_same(Tokens gold, Tokens answer);

/// \emptyset, "no solution", "there are no real roots", "the empty set", "none".
bool is_empty_set(Tokens tokens);

/// Without "Answer:", "Final answer is", "Total area:" before a value.
Tokens without_label(Tokens tokens);

}  // namespace anamnesis::eval::grading
