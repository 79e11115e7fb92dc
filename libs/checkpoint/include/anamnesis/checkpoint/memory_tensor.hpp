// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// A tensor whose bytes lie in memory as a safetensors file would hold them: row-major,
/// little-endian.
/// Owner: whoever made the bytes; they must outlive every checkpoint that is made of them.
struct MemoryTensor {
    std::string name;
    DType dtype = DType::f32;
    Shape shape{};
    std::span<const std::byte> bytes{};
};

/// A state dict as a checkpoint: the tensors are read where they lie, none is copied. `label` takes
/// the place of the path in messages and findings.
/// Errors: `malformed` for bytes that are not those of dtype and shape, for a name that is given
///         twice, and for a config that is no object.
Checkpoint make_memory_checkpoint(const std::string& label,
                                  const std::vector<MemoryTensor>& tensors,
                                  Json config);

/// The same of names and shapes alone: for `recognise` and `select_rows`. Reading a value is an
/// error of kind `internal`; `bytes` are not looked at.
Checkpoint make_shape_checkpoint(const std::string& label,
                                 const std::vector<MemoryTensor>& tensors,
                                 Json config);

/// The tensors that a config says there are, as `make_shape_checkpoint` has them: those of the
/// family's own files, with their names there. Optional ones are left out.
/// Errors: those of `make_blueprint`.
Checkpoint make_planned_checkpoint(const Json& config);

}  // namespace anamnesis::checkpoint
