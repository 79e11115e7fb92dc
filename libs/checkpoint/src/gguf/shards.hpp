// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/formats/gguf.hpp"

#include "weight_files.hpp"

namespace anamnesis::checkpoint {

inline constexpr std::string_view gguf_extension = ".gguf";

/// "NAME-00002-of-00005.gguf".
struct GgufShardName {
    std::string stem;  ///< "NAME"
    std::uint32_t number = 1;
    std::uint32_t count = 1;
};
std::optional<GgufShardName> find_gguf_shard_name(std::string_view name);

/// The file, or all shards of the set that it belongs to.
/// Errors: `not_found` for a shard that is missing.
WeightFiles find_gguf_files(const std::filesystem::path& path);

/// The one file or set of a folder. `names` is what the folder holds.
/// Errors: `usage` for several, naming them.
WeightFiles choose_gguf_in_folder(const std::filesystem::path& folder,
                                  const std::vector<std::string>& names);

/// Holds what each shard says of itself against its name and against the others.
/// Errors: `malformed`, naming the shard.
void check_gguf_shards(const std::vector<std::string>& names,
                       const std::vector<std::shared_ptr<const formats::GgufFile>>& files);

}  // namespace anamnesis::checkpoint
