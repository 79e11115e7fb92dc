// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/restore/request.hpp"

namespace anamnesis::app {

/// Options that say which rows a repair takes, and how they become the new ones.
class SelectionOptions {
public:
    void declare(CLI::App& app);

    /// Whether some option that decides rows or values was given.
    bool is_given() const;
    const std::string& importance() const { return request_.importance; }

    /// Errors: `usage` for options that do not fit each other, and for one that the method would
    /// ignore.
    restore::Request make_request() const;

private:
    void declare_rows(CLI::App& app);
    void declare_quantising(CLI::App& app);
    void declare_strengths(CLI::App& app);

    const CLI::App* app_ = nullptr;
    restore::Request request_{};
    std::vector<double> relative_lambdas_{};
    std::vector<double> absolute_lambdas_{};
};

}  // namespace anamnesis::app
