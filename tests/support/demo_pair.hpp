// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace anamnesis::testing {

/// Writes the pair that ships with the demo to `folder`/pre and `folder`/post, without tokenizer.
inline void write_demo_pair(const std::filesystem::path& folder) {
    const std::filesystem::path source = std::filesystem::path(ANAMNESIS_TESTDATA) / "..";
    for (const char* side : {"pre", "post"}) {
        std::filesystem::create_directory(folder / side);
        std::filesystem::copy_file(source / "tools" / "demo_config.json",
                                   folder / side / "config.json");
        std::filesystem::copy_file(source / "libs" / "reproduction" / "data" /
                                       (std::string("demo_") + side + ".safetensors"),
                                   folder / side / "model.safetensors");
    }
}

}  // namespace anamnesis::testing
