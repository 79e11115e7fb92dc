// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/base/random.hpp"

namespace anamnesis::train::synthetic {

/// Sentences of a few forms, their words drawn by Zipf's law.
std::vector<std::int64_t> varied_text(Random& random, std::size_t length);

/// Five sentences, again and again, from any place in them.
std::vector<std::int64_t> repeated_text(Random& random, std::size_t length);

}  // namespace anamnesis::train::synthetic
