// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anamnesis::formats {

/// `model.safetensors.index.json`: which file holds which tensor.
struct ShardIndex {
    std::vector<std::pair<std::string, std::string>> weight_map;  ///< tensor, file; file order
    std::optional<std::uint64_t> total_size;                      ///< bytes of all tensors

    /// The files named, each once, sorted.
    std::vector<std::string> files() const;
};

/// Errors: `malformed` for a file name that is no plain name inside the folder ('/', '\', "..",
/// NUL, a drive letter), for duplicate keys and for values of another type.
ShardIndex parse_shard_index(std::string_view json);

}  // namespace anamnesis::formats
