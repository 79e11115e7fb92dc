// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace anamnesis::eval {

/// Text that says nothing: one character or a short group of them over and over ("?????",
/// "the the the the"), as broken engines produce. Short texts are never called that.
bool is_degenerate(std::string_view text);

}  // namespace anamnesis::eval
