// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// Whether a component of the name is one that only adapters have.
bool has_adapter_part(std::string_view tensor_name);

/// Refuses what is no whole model: a low-rank adapter alone, under whatever file name, and a model
/// whose adapters are not merged.
/// Errors: `unsupported`, with what to do.
void refuse_adapters(const Checkpoint& checkpoint);

/// Refuses a folder whose weight files are those of an adapter.
/// Errors: `unsupported`.
[[noreturn]] void refuse_adapter_folder(const std::filesystem::path& folder,
                                        const std::string& file);

}  // namespace anamnesis::checkpoint
