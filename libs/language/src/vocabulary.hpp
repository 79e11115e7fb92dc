// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// Ids and texts of tokens, both ways. Ids may have gaps.
class Vocabulary {
public:
    static constexpr std::uint64_t max_id = 1U << 24U;

    void reserve(std::size_t tokens, std::size_t bytes);

    /// Errors: `malformed` for a text or an id that is there already, or an id above `max_id`.
    void add(std::string_view text, std::uint64_t id);

    std::optional<TokenId> find(std::string_view text) const;
    /// The text of an id, or nothing where there is no such token.
    std::optional<std::string_view> find_text(TokenId id) const;

    std::size_t count() const { return count_; }
    /// One more than the highest id.
    std::size_t id_limit() const { return places_.size(); }

private:
    struct Place {
        std::uint32_t begin = 0;
        std::uint32_t length = absent;
    };
    static constexpr std::uint32_t absent = 0xFFFFFFFFU;

    std::string_view text_at(const Place& place) const {
        return std::string_view(texts_).substr(place.begin, place.length);
    }
    std::size_t find_slot(std::string_view text) const;
    void rehash(std::size_t slots);

    std::string texts_;
    std::vector<Place> places_;         // by id
    std::vector<std::uint32_t> slots_;  // id, or `absent`; open addressing
    std::size_t count_ = 0;
};

/// A quick hash for tables inside one process.
std::uint64_t hash_text(std::string_view text);

}  // namespace anamnesis::language
