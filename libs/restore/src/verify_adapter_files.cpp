// SPDX-License-Identifier: Apache-2.0
#include "verify_adapter_files.hpp"

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

void compare_configs(const checkpoint::Adapter& before,
                     const checkpoint::Adapter& repaired,
                     Verification& result) {
    const auto read = [](const checkpoint::Adapter& adapter) {
        return io::read_text(adapter.folder() / "adapter_config.json");
    };
    const std::string old_text = read(before);
    const std::string new_text = read(repaired);
    if (old_text == new_text) {
        return;
    }
    Json old_config = Json::parse_python(old_text);
    Json new_config = Json::parse_python(new_text);
    old_config.set("exclude_modules", Json());
    new_config.set("exclude_modules", Json());
    if (old_config == new_config) {
        result.notes.emplace_back("exclude_modules of adapter_config.json differs (--tidy)");
    } else {
        result.deviations.emplace_back("adapter_config.json is not the adapter's");
    }
}

void compare_keys(const checkpoint::Adapter& before,
                  const checkpoint::Adapter& repaired,
                  Verification& result) {
    const auto describe = [](const checkpoint::Adapter& adapter) {
        std::vector<std::string> keys;
        if (adapter.is_gguf()) {
            const formats::GgufMetadata& metadata = adapter.weights.gguf()->metadata;
            for (const formats::GgufKey& key : metadata.keys()) {
                keys.push_back(format("{}: {}", key.name, metadata.describe(key)));
            }
        }
        return keys;
    };
    if (describe(before) != describe(repaired)) {
        result.deviations.emplace_back("the keys of the GGUF file are not the adapter's");
    }
}

}  // namespace anamnesis::restore
