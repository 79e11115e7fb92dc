// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/shard_index.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::formats {
namespace {

/// A name that cannot leave the folder, on any system that may read the index.
bool is_plain_file_name(std::string_view name) {
    if (name.empty() || name == "." || name == "..") {
        return false;
    }
    const bool has_drive = name.size() >= 2 && name[1] == ':' &&
                           std::isalpha(static_cast<unsigned char>(name[0])) != 0;
    const bool has_separator =
        std::ranges::any_of(name, [](char c) { return c == '/' || c == '\\' || c == '\0'; });
    return !has_drive && !has_separator;
}

}  // namespace

std::vector<std::string> ShardIndex::files() const {
    std::vector<std::string> names;
    names.reserve(weight_map.size());
    for (const auto& [tensor, file] : weight_map) {
        names.push_back(file);
    }
    std::ranges::sort(names);
    const auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
    return names;
}

ShardIndex parse_shard_index(std::string_view json) {
    const Json root = Json::parse(json);
    static_cast<void>(root.as_object("the index"));
    ShardIndex index;
    const auto& map = root.at("weight_map").as_object("weight_map");
    index.weight_map.reserve(map.size());
    for (const auto& [tensor, file] : map) {
        const std::string& name = file.as_string(format("weight_map of {}", in_quotes(tensor)));
        if (!is_plain_file_name(name)) {
            throw Error(ErrorKind::malformed,
                        format("the index puts tensor {} into {}, which is no plain file name "
                               "inside the folder",
                               in_quotes(tensor),
                               in_quotes(name)));
        }
        index.weight_map.emplace_back(tensor, name);
    }
    if (const Json* metadata = root.find("metadata")) {
        if (const Json* size = metadata->find("total_size")) {
            // Some writers put a float here; a size that is no integer is no size.
            const double bytes = size->is_number() ? size->as_double("total_size") : -1.0;
            if (bytes >= 0.0 && bytes < 0x1.0p63) {
                index.total_size = static_cast<std::uint64_t>(bytes);
            }
        }
    }
    return index;
}

}  // namespace anamnesis::formats
