// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include "anamnesis/base/json.hpp"

namespace anamnesis::python {

/// None, bool, int, float, str, list or dict. Text that is no UTF-8 (a path) is decoded as
/// `os.fsdecode` does.
nanobind::object to_python(const Json& json);

}  // namespace anamnesis::python
