// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace anamnesis::testing {

/// The names of all folders of testdata/models that hold a checkpoint, sorted.
inline std::vector<std::string> list_tiny_models() {
    std::vector<std::string> names;
    const std::filesystem::path models = std::filesystem::path(ANAMNESIS_TESTDATA) / "models";
    for (const auto& entry : std::filesystem::directory_iterator(models)) {
        if (std::filesystem::exists(entry.path() / "config.json")) {
            names.push_back(entry.path().filename().string());
        }
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace anamnesis::testing
