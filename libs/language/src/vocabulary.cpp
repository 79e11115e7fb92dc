// SPDX-License-Identifier: Apache-2.0
#include "vocabulary.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {

std::uint64_t hash_text(std::string_view text) {
    constexpr std::uint64_t factor = 0x9E3779B97F4A7C15ULL;
    std::uint64_t hash = text.size() * factor;
    const auto mix = [&](std::uint64_t word) {
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32U;
    };
    while (text.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), 8);
        mix(word);
        text.remove_prefix(8);
    }
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), text.size());
    mix(word);
    return hash;
}

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
    texts_.reserve(bytes);
    places_.reserve(tokens);
    rehash(std::bit_ceil(std::max<std::size_t>(16, tokens * 2)));
}

std::size_t Vocabulary::find_slot(std::string_view text) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash_text(text) & mask;
    while (slots_[slot] != absent && text_at(places_[slots_[slot]]) != text) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

void Vocabulary::rehash(std::size_t slots) {
    slots_.assign(slots, absent);
    for (std::size_t id = 0; id < places_.size(); ++id) {
        if (places_[id].length != absent) {
            slots_[find_slot(text_at(places_[id]))] = static_cast<std::uint32_t>(id);
        }
    }
}

void Vocabulary::add(std::string_view text, std::uint64_t id) {
    if (id > max_id) {
        throw Error(
            ErrorKind::malformed,
            format("token {} has id {}, at most {} is allowed", in_quotes(text), id, max_id));
    }
    if (texts_.size() + text.size() >= absent) {
        throw Error(ErrorKind::exhausted, "the vocabulary's texts have more than 4 GB");
    }
    if ((count_ + 1) * 2 > slots_.size()) {
        rehash(std::max<std::size_t>(16, slots_.size() * 2));
    }
    const std::size_t slot = find_slot(text);
    if (slots_[slot] != absent) {
        throw Error(
            ErrorKind::malformed,
            format("duplicate token {}, with ids {} and {}", in_quotes(text), slots_[slot], id));
    }
    if (id >= places_.size()) {
        places_.resize(id + 1);
    }
    if (places_[id].length != absent) {
        throw Error(ErrorKind::malformed,
                    format("tokens {} and {} have the same id {}",
                           in_quotes(text_at(places_[id])),
                           in_quotes(text),
                           id));
    }
    places_[id] = {.begin = static_cast<std::uint32_t>(texts_.size()),
                   .length = static_cast<std::uint32_t>(text.size())};
    texts_ += text;
    slots_[slot] = static_cast<std::uint32_t>(id);
    ++count_;
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
    if (slots_.empty()) {
        return std::nullopt;
    }
    const std::uint32_t id = slots_[find_slot(text)];
    return id == absent ? std::nullopt : std::optional(static_cast<TokenId>(id));
}

std::optional<std::string_view> Vocabulary::find_text(TokenId id) const {
    const auto index = static_cast<std::size_t>(id);
    if (id < 0 || index >= places_.size() || places_[index].length == absent) {
        return std::nullopt;
    }
    return text_at(places_[index]);
}

}  // namespace anamnesis::language
