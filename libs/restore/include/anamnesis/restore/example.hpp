// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace anamnesis::restore {

/// Writes `folder`/pre and `folder`/post, a pair to try a repair on: a small HypeNet with random
/// weights, and the same with every tensor moved by 5 % of its spread, W_Q and W_K of its softmax
/// layers 2 and 5 by 30 %. The bytes are the same everywhere.
/// Errors: `io`, and what `io::AtomicDirectory` says of a folder that is there.
void write_example_pair(const std::filesystem::path& folder);

}  // namespace anamnesis::restore
