// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anamnesis::language {

/// Appends the NFC form of well-formed `text` to `result`.
///
/// Cost: O(n log n) also for runs of combining marks; characters that NFC cannot touch are copied.
void append_nfc(std::string& result, std::string_view text);

/// The three other normal forms of well-formed text.   Cost: O(n log n).
enum class NormalForm : std::uint8_t { nfd, nfkc, nfkd };
std::string normalise(std::string_view text, NormalForm form);

/// Every character in its small form, as Rust's char::to_lowercase gives it.
std::string to_small_letters(std::string_view text);

}  // namespace anamnesis::language
