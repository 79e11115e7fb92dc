// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// adapter_config.json must say the same of what stays; --tidy alone adds names to exclude_modules.
void compare_configs(const checkpoint::Adapter& before,
                     const checkpoint::Adapter& repaired,
                     Verification& result);

/// The same for the keys of a GGUF file, in their order, as text.
void compare_keys(const checkpoint::Adapter& before,
                  const checkpoint::Adapter& repaired,
                  Verification& result);

}  // namespace anamnesis::restore
