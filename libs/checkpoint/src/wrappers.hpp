// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {

/// The first wrapper that training code left in a name, as it is spelled there ("_orig_mod.",
/// "base_model.model.", ".base_layer."); nothing where there is none.
std::optional<std::string> find_wrapper(std::string_view tensor_name);

/// A tensor name without these wrappers, as loaders look for it.
std::string without_wrappers(std::string_view tensor_name);

/// Adds the wrappers in a name, as they are spelled there. False where there is none.
bool collect_wrappers(std::string_view tensor_name, std::set<std::string>& wrappers);

/// The finding about names that hold these wrappers. Neither list is empty.
Finding make_wrapped_names(const std::vector<std::string>& names,
                           const std::set<std::string>& wrappers,
                           std::string remedy);

/// Names that no loader finds: wrappers, and prefixes that are nested into themselves.
void find_odd_names(const Checkpoint& checkpoint, std::vector<Finding>& findings);

}  // namespace anamnesis::checkpoint
