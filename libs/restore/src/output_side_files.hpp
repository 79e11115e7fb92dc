// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The text of a side file that the output has otherwise than post: an index that names what the
/// output holds, a config.json without a quantization_config that does not fit the weights. Nothing
/// for a file that is copied as it is.
std::optional<std::string> make_other_text(const Plan& plan,
                                           const OutputOptions& options,
                                           const std::filesystem::path& relative);

/// JSON text less the members `key` of the root and of its `text_config`; all other bytes stay.
std::string without_member(std::string_view json, std::string_view key);

}  // namespace anamnesis::restore
