// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace anamnesis::bench {

/// Words name=value of a command line over their defaults.
class Settings {
public:
    /// Errors: `usage` for a name that has no default.
    Settings(std::map<std::string, std::string> defaults, int count, char** words);

    const std::string& text(const std::string& name) const& { return values_.at(name); }
    std::int64_t number(const std::string& name) const { return std::stoll(values_.at(name)); }
    std::vector<std::int64_t> numbers(const std::string& name) const;

private:
    std::map<std::string, std::string> values_;
};

}  // namespace anamnesis::bench
