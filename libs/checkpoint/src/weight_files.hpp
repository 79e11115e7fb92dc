// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/formats/shard_index.hpp"

namespace anamnesis::checkpoint {

/// Which files of a folder, or which single file, hold the weights.
struct WeightFiles {
    std::filesystem::path folder;
    std::string stem = "model";        ///< of the names that loaders look for
    std::vector<std::string> names{};  ///< in the folder, sorted
    bool is_single_file = false;
    std::optional<formats::ShardIndex> index{};
    std::optional<std::filesystem::path> config{};
    std::vector<Finding> findings{};

    std::string single_name() const { return stem + ".safetensors"; }
    std::string index_name() const { return single_name() + ".index.json"; }
};

/// An index stands for its shards: "adapter_model.safetensors.index.json" for those of an adapter.
/// Errors: as Checkpoint::open.
WeightFiles find_weight_files(const std::filesystem::path& path);

/// Holds an index against the tensors that its shards have; true where it names each of them, in
/// its file, and nothing else.
bool check_index(const formats::ShardIndex& index,
                 const std::vector<std::string>& names,
                 const Checkpoint& checkpoint,
                 std::vector<Finding>& findings);

}  // namespace anamnesis::checkpoint
