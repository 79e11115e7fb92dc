// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/run_settings.hpp"

#include <filesystem>
#include <optional>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::io {

std::optional<std::string> find_difference(const Json& found, const Json& asked) {
    for (const auto& [key, value] : asked.as_object("settings")) {
        const Json* other = found.find(key);
        if (other == nullptr || other->dump() != value.dump()) {
            return format("{} was {}, now {}",
                          key,
                          other == nullptr ? std::string("not set") : other->dump(),
                          value.dump());
        }
    }
    for (const auto& [key, value] : found.as_object("settings")) {
        if (asked.find(key) == nullptr) {
            return format("{} was {}, now not set", key, value.dump());
        }
    }
    return std::nullopt;
}

void expect_same_run(const std::filesystem::path& folder, const Json& found, const Json& asked) {
    if (const auto difference = find_difference(found, asked)) {
        throw Error(ErrorKind::mismatch,
                    format("{} holds a run of other settings ({}); give another --out, or the same "
                           "settings to go on with it",
                           in_quotes(folder.string(), 1000),
                           *difference));
    }
}

}  // namespace anamnesis::io
