// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// A base with its adapter, to be run without a merged checkpoint on disk: the tensors that the
/// adapter changes are computed as they are read, with the bytes that a merge without a repair
/// writes (`MergeRounding::once`); all others are the base's.
///
/// Of a GGUF base block-quantised tensors that the adapter changes become float32. Beside an
/// adapter of PEFT it is seen under the names of its family (`view_for_running`); a GGUF adapter
/// has the names and rows of the file.
///
/// Memory: A of every module.
/// Errors: those of `refuse_unfit`; `unsupported` for a GGUF adapter on another base and for a base
/// of 8-bit floats; `mismatch` for an embedding that is the head too, a bias that the base does not
/// have and two changes of one tensor.
checkpoint::RecognisedCheckpoint view_with_adapter(checkpoint::Adapter adapter,
                                                   checkpoint::RecognisedCheckpoint base);

}  // namespace anamnesis::restore
