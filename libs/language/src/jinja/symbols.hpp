// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "syntax.hpp"

namespace anamnesis::language::jinja {

/// For each body the names that are undefined in it until it assigns them, although a variable of
/// that name exists: Jinja decides when it reads a template which block a name belongs to.
using HiddenNames = std::unordered_map<const Body*, std::vector<std::string>>;

/// Source: Jinja 3.1, idtracking.py.
HiddenNames find_hidden_names(const Body& root);

}  // namespace anamnesis::language::jinja
