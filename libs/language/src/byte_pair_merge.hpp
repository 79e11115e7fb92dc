// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// The merges of a byte-pair encoding: which two neighbours become one token, and which go first.
class BytePairMerges {
public:
    void reserve(std::size_t merges);

    /// A pair that is set again takes the later rank, as the reference has it.
    void set(TokenId left, TokenId right, std::uint32_t rank, TokenId product);

    /// Replaces `symbols` by what remains when the pair of lowest rank, the leftmost among equals,
    /// is merged until none is left.
    ///
    /// Cost: O(n log n).
    void apply(std::vector<TokenId>& symbols) const;

    /// The slow twin: looks through all pairs for each merge.
    void naive_apply(std::vector<TokenId>& symbols) const;

    /// Whether `holds(left, right)` is false of every pair.
    template <class Predicate>
    bool none_of(const Predicate& holds) const {
        for (const Merge& merge : slots_) {
            if (merge.pair != vacant && holds(static_cast<TokenId>(merge.pair >> 32U),
                                              static_cast<TokenId>(merge.pair & 0xFFFFFFFFU))) {
                return false;
            }
        }
        return true;
    }

private:
    struct Merge {
        std::uint64_t pair = vacant;
        std::uint32_t rank = none;
        TokenId product = 0;
    };
    static constexpr std::uint64_t vacant = ~std::uint64_t{0};
    static constexpr std::uint32_t none = 0xFFFFFFFFU;

    static std::uint64_t make_key(TokenId left, TokenId right) {
        return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U) |
               static_cast<std::uint32_t>(right);
    }
    const Merge& at(TokenId left, TokenId right) const;
    std::size_t find_slot(std::uint64_t pair) const;
    void grow(std::size_t slots);
    void apply_to_short(std::vector<TokenId>& symbols) const;
    void apply_to_long(std::vector<TokenId>& symbols) const;

    std::vector<Merge> slots_ = std::vector<Merge>(16);
    std::size_t count_ = 0;
};

}  // namespace anamnesis::language
