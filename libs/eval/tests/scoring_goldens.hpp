// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"

namespace anamnesis::testing {

/// The lines of testdata/<folder>/<name>.
inline std::vector<Json> scoring_lines(const std::string& name,
                                       const std::string& folder = "scoring") {
    std::ifstream file(std::filesystem::path(ANAMNESIS_TESTDATA) / folder / name);
    std::vector<Json> lines;
    std::string text;
    while (std::getline(file, text)) {
        lines.push_back(Json::parse(text));
    }
    EXPECT_FALSE(lines.empty()) << name;
    return lines;
}

inline const std::string& text_at(const Json& line, const char* key) {
    return line.at(key).as_string(key);
}

}  // namespace anamnesis::testing
