// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::language {

/// Appends the NFC form of well-formed `text` to `result`.
///
/// Cost: O(n log n) also for runs of combining marks; characters that NFC cannot touch are copied.
void append_nfc(std::string& result, std::string_view text);

}  // namespace anamnesis::language
