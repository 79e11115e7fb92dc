// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Whether every tensor is listed, or the routing tensors alone.
enum class TensorList : std::uint8_t { routing, all };

/// What a checkpoint is and which of its rows are W_Q and W_K, as `inspect --json` prints it
/// (docs/json.md).
Json make_inspection_json(const RecognisedCheckpoint& source, TensorList list);

/// The same for a terminal.
std::string make_inspection_text(const RecognisedCheckpoint& source, TensorList list);

}  // namespace anamnesis::restore
