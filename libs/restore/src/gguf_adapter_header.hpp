// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::restore {

/// The directory of a GGUF file with some of another's tensors.
struct GgufHeader {
    std::string bytes;                   ///< all before the data
    std::vector<std::uint64_t> offsets;  ///< of each tensor that stays, from the start of the file
    std::uint64_t file_bytes = 0;
};

/// Version, keys and their order, and the names, types and shapes of the tensors that stay are the
/// file's own bytes; the number of tensors and the offsets are new. `stays` has an entry for each
/// tensor of the file, in the order of their bytes.
GgufHeader make_gguf_header(const formats::GgufFile& file, const std::vector<bool>& stays);

}  // namespace anamnesis::restore
