// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/formats/safetensors_writer.hpp"

namespace anamnesis::fuzz {

/// The bytes of a file for an input: what begins with '{' is the description stored as `key`
/// in the metadata of a well-formed file with `tensors`, so that mutations reach past the length
/// field; anything else is the whole file.
inline std::string file_from(std::string_view input,
                             std::string_view key,
                             const std::vector<formats::TensorSpec>& tensors) {
    if (!input.starts_with('{')) {
        return std::string(input);
    }
    const auto prologue =
        formats::make_safetensors_prologue(tensors, {{std::string(key), std::string(input)}});
    return prologue.bytes + std::string(prologue.data_bytes, '\1');
}

}  // namespace anamnesis::fuzz
