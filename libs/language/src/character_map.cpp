// SPDX-License-Identifier: Apache-2.0
#include "character_map.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

// The longest text of the rules that come with SentencePiece has 33 bytes.
constexpr std::size_t longest_text = 1000;
// And what is replaced has at most 18; a broken trie may go round in circles.
constexpr std::size_t longest_match = 256;

std::uint32_t read_unit(std::string_view bytes, std::size_t at) {
    std::uint32_t unit = 0;
    for (std::size_t i = 4; i > 0; --i) {
        unit = (unit << 8U) | static_cast<unsigned char>(bytes[at + i - 1]);
    }
    return unit;
}

// A unit of the trie: label and flags of a node, and where its children begin.
bool has_leaf(std::uint32_t unit) {
    return ((unit >> 8U) & 1U) != 0;
}
std::uint32_t find_label(std::uint32_t unit) {
    return unit & ((1U << 31U) | 0xFFU);
}
std::uint32_t find_offset(std::uint32_t unit) {
    return (unit >> 10U) << ((unit & (1U << 9U)) >> 6U);
}
std::uint32_t find_value(std::uint32_t unit) {
    return unit & 0x7FFFFFFFU;
}

}  // namespace

CharacterMap::CharacterMap(std::string_view bytes) {
    if (bytes.empty()) {
        return;
    }
    const std::size_t size = bytes.size() < 4 ? 0 : read_unit(bytes, 0);
    if (size < 4 || size % 4 != 0 || size > bytes.size() - 4) {
        throw Error(ErrorKind::malformed,
                    format("the character map has {} bytes and a trie of {}", bytes.size(), size));
    }
    units_.reserve(size / 4);
    for (std::size_t at = 0; at < size; at += 4) {
        units_.push_back(read_unit(bytes, 4 + at));
    }
    texts_ = bytes.substr(4 + size);
    for (std::size_t byte = 0; byte < begins_.size(); ++byte) {
        std::uint32_t node = find_offset(units_.front());
        bool has_value = false;
        begins_[byte] = step(node, static_cast<unsigned char>(byte), has_value);
    }
}

bool CharacterMap::step(std::uint32_t& node, unsigned char byte, bool& has_value) const {
    node ^= byte;
    if (node >= units_.size() || find_label(units_[node]) != byte) {
        return false;
    }
    has_value = has_leaf(units_[node]);
    node ^= find_offset(units_[node]);
    return true;
}

CharacterMap::Match CharacterMap::find_longest(std::string_view text) const {
    Match longest;
    if (units_.empty()) {
        return longest;
    }
    std::uint32_t node = find_offset(units_.front());
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < std::min(text.size(), longest_match); ++i) {
        bool has_value = false;
        if (!step(node, static_cast<unsigned char>(text[i]), has_value)) {
            break;
        }
        if (has_value) {
            if (node >= units_.size()) {
                throw Error(ErrorKind::malformed, "the character map's trie leaves its array");
            }
            longest.length = i + 1;
            value = find_value(units_[node]);
        }
    }
    if (longest.length > 0) {
        longest.text = find_text(value);
    }
    return longest;
}

std::string_view CharacterMap::find_text(std::uint32_t offset) const {
    const std::size_t end = offset < texts_.size() ? texts_.find('\0', offset) : std::string::npos;
    if (end == std::string::npos || end - offset > longest_text) {
        throw Error(
            ErrorKind::malformed,
            format("the character map has no text at byte {} of {}", offset, texts_.size()));
    }
    return std::string_view(texts_).substr(offset, end - offset);
}

}  // namespace anamnesis::language
