// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace anamnesis::python {

/// An `anamnesis::Error` becomes the exception of its kind (anamnesis/errors.py).
void register_errors(nanobind::module_& module);

}  // namespace anamnesis::python
