// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace anamnesis::app {

/// Options that every verb has.
struct CommonOptions {
    bool json = false;
    bool quiet = false;
    unsigned threads = 0;  ///< 0: every core this process may use

    unsigned count_threads() const;
};

void declare_common(CLI::App& app, CommonOptions& options);

}  // namespace anamnesis::app
