// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {

/// How the name of an adapter's tensor came about that names nothing in a base, with what to do;
/// empty where that is not known.
std::string explain_adapter_name(std::string_view name);

/// A finding where names hold wrappers of training code, as checkpoints have it: no loader finds
/// them. What PEFT itself puts around modules is no such wrapper.
std::vector<Finding> find_wrapped_names(const Adapter& adapter);

}  // namespace anamnesis::checkpoint
