// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/restore/request.hpp"

namespace anamnesis::app {

/// Options of `restore --method fit`: its strength, and the texts that calibrate it.
class FitOptions {
public:
    void declare(CLI::App& app);

    /// The settings of a request. Errors: `usage` for a mu that is none, for options that do not go
    /// together, and for any of them with another method.
    restore::FitSettings make_settings(const restore::Selection& selection) const;

    /// Whether texts are given to run post over.
    bool calibrates() const { return !recall.empty() || !chains.empty(); }
    bool chooses_mu() const { return mu_ == "auto"; }

    std::string recall{};     ///< a file, or "niah"
    std::string chains{};     ///< a file, or "own"
    std::string questions{};  ///< a file, for chains that post writes
    std::string moments{};    ///< a folder
    std::string tokenizer{};
    std::string dtype{};
    std::string device = "cpu";

private:
    const CLI::App* app_ = nullptr;
    std::string mu_{};
    restore::KeyInputs keys_ = restore::KeyInputs::attention;
    std::uint32_t rounds_ = 0;
    bool scales_inputs_ = false;
};

}  // namespace anamnesis::app
