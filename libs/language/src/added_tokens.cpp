// SPDX-License-Identifier: Apache-2.0
#include "added_tokens.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "character_class.hpp"

namespace anamnesis::language {
namespace {

/// The character that ends before `end` > 0.
char32_t character_before(std::string_view text, std::size_t end, std::size_t& begin) {
    begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80) {
        --begin;
    }
    std::size_t position = begin;
    return next_character(text, position);
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
    std::size_t ignored = 0;
    if (begin > 0 && is_word_character(character_before(text, begin, ignored))) {
        return false;
    }
    return end >= text.size() || !is_word_character(next_character(text, end));
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token) {
    if (token.content.empty()) {
        throw Error(ErrorKind::malformed, format("added token {} has no content", token.id));
    }
    if (token.content.size() > max_bytes) {
        throw Error(ErrorKind::unsupported,
                    format("added token {} has {} bytes, at most {} are taken",
                           token.id,
                           token.content.size(),
                           max_bytes));
    }
    std::uint32_t node = 0;
    for (const char c : token.content) {
        const auto byte = static_cast<unsigned char>(c);
        std::uint32_t child = find_child(node, byte);
        if (child == 0) {
            child = static_cast<std::uint32_t>(nodes_.size());
            nodes_[node].children.emplace_back(byte, child);
            nodes_.emplace_back();
        }
        node = child;
    }
    nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
    tokens_.push_back(token);
    begins_[static_cast<unsigned char>(token.content.front())] = true;
}

std::uint32_t AddedTokenFinder::find_child(std::uint32_t node, unsigned char byte) const {
    for (const auto& [label, child] : nodes_[node].children) {
        if (label == byte) {
            return child;
        }
    }
    return 0;
}

const AddedToken* AddedTokenFinder::find_at(std::string_view text, std::size_t position) const {
    const AddedToken* longest = nullptr;
    std::uint32_t node = 0;
    for (std::size_t i = position; i < text.size(); ++i) {
        node = find_child(node, static_cast<unsigned char>(text[i]));
        if (node == 0) {
            break;
        }
        if (nodes_[node].token >= 0) {
            longest = &tokens_[static_cast<std::size_t>(nodes_[node].token)];
        }
    }
    return longest;
}

void AddedTokenFinder::split(std::string_view text, bool leaves_special, const Take& take) const {
    std::size_t done = 0;
    std::size_t position = 0;
    while (position < text.size() && !tokens_.empty()) {
        if (!begins_[static_cast<unsigned char>(text[position])]) {
            ++position;
            continue;
        }
        const AddedToken* token = find_at(text, position);
        if (token == nullptr) {
            ++position;
            continue;
        }
        std::size_t begin = position;
        std::size_t end = position + token->content.size();
        position = end;
        if ((leaves_special && token->is_special) ||
            (token->is_single_word && !stands_alone(text, begin, end))) {
            continue;
        }
        if (token->strips_left) {
            std::size_t before = begin;
            while (begin > done && is_white_space(character_before(text, begin, before))) {
                begin = before;
            }
        }
        if (token->strips_right) {
            std::size_t after = end;
            while (end < text.size() && is_white_space(next_character(text, after))) {
                end = after;
            }
            position = end;
        }
        begin = std::max(begin, done);
        if (begin > done) {
            take(text.substr(done, begin - done), -1);
        }
        take(text.substr(begin, end - begin), token->id);
        done = end;
    }
    if (done < text.size()) {
        take(text.substr(done), -1);
    }
}

}  // namespace anamnesis::language
