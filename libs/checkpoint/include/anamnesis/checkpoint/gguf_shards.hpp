// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace anamnesis::checkpoint {

/// True for names of shards of one split set of GGUF, "NAME-00001-of-00003.gguf" and so on.
bool are_of_one_set(std::string_view left, std::string_view right);

}  // namespace anamnesis::checkpoint
