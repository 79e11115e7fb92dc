// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/train/adamw.hpp"

namespace anamnesis::train {

/// Writes tensors as a safetensors file that appears whole or not at all.
void write_tensors(const std::filesystem::path& path,
                   const NamedTensors& tensors,
                   const std::vector<std::pair<std::string, std::string>>& metadata);

/// Every tensor of an opened file, in memory.
NamedTensors read_tensors(const formats::SafetensorsFile& file);

/// The bytes of a tensor on the host, contiguous; the tensor keeps them alive.
std::span<const std::byte> as_bytes(const at::Tensor& tensor);

}  // namespace anamnesis::train
