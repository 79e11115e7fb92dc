// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// Pre as post's container has it: null where both are of one kind, else a view of pre.
/// Errors: `unsupported` for a pre of GGUF and a post of safetensors; those of `view_as_gguf`.
std::shared_ptr<const checkpoint::RecognisedCheckpoint> match_container(
    const checkpoint::RecognisedCheckpoint& pre,
    const checkpoint::RecognisedCheckpoint& post,
    checkpoint::GgufVia via = checkpoint::GgufVia::none);

/// True for what `match_container` made: it has no more than what goes over row by row, in a type
/// of its own.
bool is_view(const checkpoint::RecognisedCheckpoint& source);

}  // namespace anamnesis::restore
