// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::python {

/// How checkpoints are read, where their config.json does not say enough.
struct Reading {
    std::optional<std::string> family{};
    std::optional<std::filesystem::path> routing{};
    std::optional<std::filesystem::path> config{};
    bool is_strict = false;  ///< a warning is a refusal

    checkpoint::OpenOptions opening() const { return {.config = config}; }
    checkpoint::RecogniseOptions recognising(
        checkpoint::Missing missing = checkpoint::Missing::refuse) const {
        return {.family = family, .routing = routing, .missing = missing};
    }
    /// Errors: `mismatch` for a warning where these are refused.
    void check(const std::vector<checkpoint::Finding>& findings) const {
        if (is_strict) {
            checkpoint::refuse_warnings(findings);
        }
    }
};

/// Declares `Reading` and `Request`.
void declare_requests(nanobind::module_& module);

}  // namespace anamnesis::python
