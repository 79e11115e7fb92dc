// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace anamnesis::python {

/// inspect, doctor, drift, verify, undo, example.
void declare_checkpoint_jobs(nanobind::module_& module);
/// restore, on files.
void declare_repair(nanobind::module_& module);
/// A repair of tensors in memory.
void declare_memory_repair(nanobind::module_& module);
/// grade, niah.
void declare_evaluation_jobs(nanobind::module_& module);

}  // namespace anamnesis::python
