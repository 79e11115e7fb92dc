// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// What a GGUF file says that its model is: layers and heads by the metadata, tensors under the
/// file's own names. Which of several forms a layer is stored in (separate or fused projections,
/// split or joined keys of MLA) is told from the names that it has.
/// Errors: `unsupported` for an architecture that is not known, and for files that hold no model;
/// `malformed` for keys that are missing, of a wrong type or impossible.
Blueprint make_gguf_blueprint(const formats::GgufFile& file,
                              const TensorNames& names,
                              const Json& config);

}  // namespace anamnesis::checkpoint
