// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/restore/given_fit.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::app {

/// Options of `restore --method fit`: its strength, and the texts that calibrate it.
struct FitOptions : restore::GivenFit {
    void declare(CLI::App& app);

    /// Errors: as `restore::complete_fit`.
    restore::FitSettings make_settings(const restore::Selection& selection) const;

    std::string tokenizer{};
    std::string dtype{};
    std::string device = "cpu";

private:
    const CLI::App* app_ = nullptr;
};

}  // namespace anamnesis::app
