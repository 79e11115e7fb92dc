// SPDX-License-Identifier: Apache-2.0
#include "options/reading.hpp"

#include <CLI/CLI.hpp>

#include "option_group.hpp"

namespace anamnesis::app {

void declare_reading(CLI::App& app, ReadingOptions& options) {
    OptionGroup group(app, "Reading checkpoints");
    group.option(
        "--family", options.family, "The architecture family, where config.json does not tell it.");
    group.option("--routing",
                 options.routing,
                 "The routing map of a family of your own (docs/routing-file.md).");
    group.option("--config", options.config, "A config.json for weights that have none.");
}

void declare_strict(CLI::App& app, ReadingOptions& options) {
    OptionGroup(app, "Findings")
        .flag("--strict",
              options.is_strict,
              "Take any warning about a checkpoint as a refusal (exit 6).");
}

}  // namespace anamnesis::app
