// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// The rules by which SentencePiece replaces characters (`precompiled_charsmap`): a double-array
/// trie of what is replaced, and the texts put in its place.
///
/// Source: sentencepiece 0.2.3, normalizer.cc; Darts-clone 0.32, darts.h.
class CharacterMap {
public:
    CharacterMap() = default;
    /// Errors: `malformed` for bytes that are no such map.
    explicit CharacterMap(std::string_view bytes);

    struct Match {
        std::size_t length = 0;  ///< bytes of the text; 0: no rule begins there
        std::string_view text{};
    };
    /// The rule for the longest beginning of `text`. Errors: `malformed` for a rule whose text is
    /// outside the map or longer than any character needs.
    Match find_longest(std::string_view text) const;

    /// Whether a rule begins with the byte.
    bool begins(unsigned char byte) const { return begins_[byte]; }

private:
    /// Follows one byte from a node; false where nothing goes on.
    bool step(std::uint32_t& node, unsigned char byte, bool& has_value) const;
    std::string_view find_text(std::uint32_t offset) const;

    std::vector<std::uint32_t> units_{};
    std::string texts_{};  ///< each ends in a zero byte
    std::array<bool, 256> begins_{};
};

}  // namespace anamnesis::language
