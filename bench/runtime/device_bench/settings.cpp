// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::bench {

Settings::Settings(std::map<std::string, std::string> defaults, int count, char** words)
    : values_(std::move(defaults)) {
    for (int i = 0; i < count; ++i) {
        const std::string word = words[i];
        const std::size_t equals = word.find('=');
        const auto known = values_.find(word.substr(0, equals));
        if (equals == std::string::npos || known == values_.end()) {
            throw Error(ErrorKind::usage, format("{} is not known here", in_quotes(word)));
        }
        known->second = word.substr(equals + 1);
    }
}

std::vector<std::int64_t> Settings::numbers(const std::string& name) const {
    std::vector<std::int64_t> numbers;
    for (const std::string& part : split(values_.at(name), ',')) {
        if (!part.empty()) {
            numbers.push_back(std::stoll(part));
        }
    }
    return numbers;
}

}  // namespace anamnesis::bench
