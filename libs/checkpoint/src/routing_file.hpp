// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"

namespace anamnesis::checkpoint {

/// Reads a routing file (docs/routing-file.md). `config` may be null; where it is there, rotary
/// theta and scaling come from it.
/// Errors: `not_found`; `malformed` for unknown keys, missing keys and values out of range.
Blueprint read_routing_file(const std::filesystem::path& path, const Json& config);
Blueprint parse_routing_file(std::string_view json, const Json& config);

}  // namespace anamnesis::checkpoint
