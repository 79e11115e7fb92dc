// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace anamnesis::testing {

/// A fenced block of a Markdown file.
struct DocumentBlock {
    std::string info;  ///< what follows the opening fence: "console", "schema inspect"
    std::vector<std::string> lines;

    std::string text() const {
        std::string all;
        for (const std::string& line : lines) {
            all += line + "\n";
        }
        return all;
    }
};

/// The fenced blocks of a page of docs/ whose info begins with `kind`.
inline std::vector<DocumentBlock> read_blocks(const std::string& page, const std::string& kind) {
    std::ifstream file(std::string(ANAMNESIS_SOURCE) + "/docs/" + page);
    if (!file) {
        throw std::runtime_error("no page " + page);
    }
    std::vector<DocumentBlock> blocks;
    bool is_inside = false;
    bool is_wanted = false;
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with("```")) {
            is_inside = !is_inside;
            is_wanted = is_inside && line.substr(3).starts_with(kind);
            if (is_wanted) {
                blocks.push_back({.info = line.substr(3), .lines = {}});
            }
        } else if (is_wanted) {
            blocks.back().lines.push_back(line);
        }
    }
    return blocks;
}

}  // namespace anamnesis::testing
