// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace anamnesis::app {

/// --help with descriptions in lines of at most 100 columns, defaults after them, and no list of
/// what an option excludes.
class HelpFormat final : public CLI::Formatter {
public:
    /// Descriptions begin at this column.
    explicit HelpFormat(std::size_t column);

    std::string make_group(std::string name,
                           bool is_positional,
                           std::vector<const CLI::Option*> options) const override;
    std::string make_option_opts(const CLI::Option* option) const override;
    std::string make_option_desc(const CLI::Option* option) const override;
    std::string make_usage(const CLI::App* app, std::string name) const override;
};

}  // namespace anamnesis::app
