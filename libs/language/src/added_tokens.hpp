// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// A token that is found in text before anything is split.
struct AddedToken {
    TokenId id = 0;
    std::string content;
    bool is_single_word = false;  ///< only where no word character touches it
    bool strips_left = false;     ///< takes the white space before it
    bool strips_right = false;    ///< takes the white space after it
    bool is_normalised = false;   ///< looked for in normalised text
    bool is_special = false;
};

/// Finds added tokens: the leftmost, the longest of those that begin there.
class AddedTokenFinder {
public:
    static constexpr std::size_t max_bytes = 1024;

    /// Errors: `unsupported` above `max_bytes`; `malformed` for empty content.
    void add(const AddedToken& token);

    /// Called with plain text (token < 0) and with tokens, in order.
    using Take = std::function<void(std::string_view text, TokenId token)>;
    /// `leaves_special`: special tokens read as plain text.
    void split(std::string_view text, bool leaves_special, const Take& take) const;

private:
    struct Node {
        std::vector<std::pair<unsigned char, std::uint32_t>> children;
        std::int32_t token = -1;  // index into tokens_
    };
    std::uint32_t find_child(std::uint32_t node, unsigned char byte) const;
    /// The longest token at `position`, or null.
    const AddedToken* find_at(std::string_view text, std::size_t position) const;

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::vector<bool> begins_ = std::vector<bool>(256);
};

}  // namespace anamnesis::language
