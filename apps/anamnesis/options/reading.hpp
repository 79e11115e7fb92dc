// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace anamnesis::app {

/// How checkpoints are read, where their config.json does not say enough.
struct ReadingOptions {
    std::string family{};    ///< overrides config.json
    std::string routing{};   ///< a routing map for a family of your own
    std::string config{};    ///< a config.json for checkpoints that have none
    bool is_strict = false;  ///< a warning is a refusal
};

void declare_reading(CLI::App& app, ReadingOptions& options);
void declare_strict(CLI::App& app, ReadingOptions& options);

}  // namespace anamnesis::app
