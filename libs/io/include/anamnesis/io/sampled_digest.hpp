// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace anamnesis::io {

/// SHA-256 of the config of a checkpoint or an adapter and of a sample of its weights: 4 kB of
/// every megabyte, which every large tensor has a part in; files of up to 16 MiB whole. Tells
/// checkpoints apart without reading them whole.
std::string sampled_digest(const std::string& folder);

}  // namespace anamnesis::io
