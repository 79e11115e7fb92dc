// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/json.hpp"

namespace anamnesis::restore {

/// The section that `--model-card` appends to README.md.
std::string make_model_card_section(const Json& receipt);

}  // namespace anamnesis::restore
