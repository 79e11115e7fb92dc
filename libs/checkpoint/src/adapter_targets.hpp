// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {

/// Where the tensors of an adapter and what adapter_config.json says that it changes differ:
/// tensors that PEFT leaves out, modules without tensors, modules to save that were not saved.
std::vector<Finding> find_target_findings(const AdapterMatch& match);

}  // namespace anamnesis::checkpoint
