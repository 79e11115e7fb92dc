// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// What a GGUF file says of itself: version, architecture, type, importances, shards, and the types
/// of its tensors group by group.
Json describe_gguf(const checkpoint::RecognisedCheckpoint& source);
std::string describe_gguf_text(const checkpoint::RecognisedCheckpoint& source);

}  // namespace anamnesis::restore
