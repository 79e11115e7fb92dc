// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// Adds a deviation for every file of a GGUF checkpoint whose header is not post's byte for byte;
/// keys of ours ("anamnesis.*") may have been added, and are noted. Nothing for other containers.
void compare_gguf_headers(const checkpoint::Checkpoint& post,
                          const checkpoint::Checkpoint& repaired,
                          Verification& result);

/// A row of pre as it is stored.
struct StoredRow {
    std::span<const std::byte> bytes;
    DType dtype = DType::f32;
};

/// Row `index` of a tensor of post, in a type of blocks, from pre's values, each line of it by
/// itself. `importance` is that of the whole tensor, or empty.
void quantise_row(const StoredRow& pre,
                  const checkpoint::TensorEntry& post,
                  std::uint64_t index,
                  const std::vector<float>& importance,
                  std::span<std::byte> bytes);

}  // namespace anamnesis::restore
