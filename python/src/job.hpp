// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include <nanobind/nanobind.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"

#include "to_python.hpp"

namespace anamnesis::python {

/// Runs a job on a thread of its own and waits for it without the GIL. Meanwhile this thread hands
/// progress to `progress(phase, done, total, unit)` (None: to nobody), lines to the logger
/// "anamnesis", and looks for signals: Ctrl-C, and whatever the callback raises, asks the job to
/// stop, waits until it has, and is raised then. The job must touch no object of Python.
/// Errors: those of the job; `internal` for an exception that is no Error; `exhausted` where memory
///         or threads are.
void run_job(const nanobind::object& progress, const std::function<void(const Watch&)>& job);

/// The same of a job that gives Json.
template <class Job>
nanobind::object run_json_job(const nanobind::object& progress, const Job& job) {
    std::optional<Json> result;
    run_job(progress, [&](const Watch& watch) { result.emplace(job(watch)); });
    return to_python(*result);
}

/// The threads that a caller means: 0 is every core that this process may use.
/// Errors: `usage` above 1024.
unsigned count_threads(unsigned threads);

}  // namespace anamnesis::python
