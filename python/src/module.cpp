// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "anamnesis/base/version.hpp"

#include "errors.hpp"
#include "jobs.hpp"
#include "request.hpp"
#include "source.hpp"

// The package anamnesis (python/anamnesis) is what users import; this module is its seam to the
// jobs of the libraries.
NB_MODULE(_core, module) {
    using namespace anamnesis;
    module.doc() = "The jobs of the libraries, for the package anamnesis.";
    module.attr("version") = std::string(version());
    module.attr("commit") = std::string(commit());
    python::register_errors(module);
    python::declare_requests(module);
    python::declare_sources(module);
    python::declare_checkpoint_jobs(module);
    python::declare_repair(module);
    python::declare_memory_repair(module);
    python::declare_evaluation_jobs(module);
}
