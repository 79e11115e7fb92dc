// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::eval {

/// Takes a prompt that the server repeated away from before its answer; special tokens may be
/// missing from it. False where the text does not begin with one.
bool remove_echo(std::string_view prompt, std::string& text);

/// JSON in which halves of surrogate pairs ("\ud83d" alone: a character that was cut between two
/// tokens) are U+FFFD.
std::string with_whole_surrogates(std::string_view json);

/// Whether two names of a model cannot mean one: neither holds the other, folders left out.
bool are_other_models(std::string_view one, std::string_view other);

}  // namespace anamnesis::eval
