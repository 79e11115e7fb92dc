// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::testing {

/// SHA-256 of every tensor of a checkpoint, by name.
inline std::map<std::string, std::string> tensor_digests(const std::filesystem::path& folder) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    std::map<std::string, std::string> digests;
    for (const auto& tensor : checkpoint.tensors()) {
        std::vector<std::byte> bytes(tensor.bytes);
        tensor.read_at(0, bytes);
        Sha256 digest;
        digest.update(bytes);
        digests[tensor.name] = digest.finish();
    }
    return digests;
}

}  // namespace anamnesis::testing
