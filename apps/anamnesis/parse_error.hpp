// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace anamnesis::app {

/// One line that says what is wrong with a command line, and where its help is.
std::string describe_parse_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace anamnesis::app
