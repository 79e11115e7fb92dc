// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::eval {

inline std::vector<Json> json_lines(const std::filesystem::path& path) {
    std::vector<Json> lines;
    for (const std::string& line : split(io::read_text(path), '\n')) {
        if (!line.empty()) {
            lines.push_back(Json::parse(line));
        }
    }
    return lines;
}

inline const std::filesystem::path ruler_testdata =
    std::filesystem::path(ANAMNESIS_TESTDATA) / "ruler";
inline const std::filesystem::path shared_data = std::filesystem::path(ANAMNESIS_SHARED) / "data";

}  // namespace anamnesis::eval
