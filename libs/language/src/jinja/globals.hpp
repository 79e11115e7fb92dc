// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// The functions that every chat template of transformers has: range, namespace, dict,
/// raise_exception, strftime_now. Those of Jinja's that are not here refuse to be called.
std::map<std::string, Value, std::less<>> list_globals();

}  // namespace anamnesis::language::jinja
