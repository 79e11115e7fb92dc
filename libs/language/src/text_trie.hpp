// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// Texts by their common beginnings. `seal` ends the building; only then texts are found.
class TextTrie {
public:
    void add(std::string_view text, TokenId token) {
        std::uint32_t node = 0;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            auto& children = growing_[node].children;
            const auto place = std::ranges::lower_bound(
                children, byte, {}, &std::pair<unsigned char, std::uint32_t>::first);
            if (place != children.end() && place->first == byte) {
                node = place->second;
                continue;
            }
            const auto child = static_cast<std::uint32_t>(growing_.size());
            children.insert(place, {byte, child});
            growing_.emplace_back();
            node = child;
        }
        growing_[node].token = token;
    }

    /// Lays the nodes out one after the other: the children of one lie side by side.
    void seal() {
        nodes_.assign(1, {});
        std::vector<std::uint32_t> sources{0};
        for (std::size_t at = 0; at < nodes_.size(); ++at) {
            const Growing& source = growing_[sources[at]];
            nodes_[at].token = source.token;
            nodes_[at].first = static_cast<std::uint32_t>(nodes_.size());
            nodes_[at].count = static_cast<std::uint16_t>(source.children.size());
            for (const auto& [byte, child] : source.children) {
                nodes_.push_back({.byte = byte});
                sources.push_back(child);
            }
        }
        roots_.fill(0);
        for (std::uint32_t i = 0; i < nodes_[0].count; ++i) {
            roots_[nodes_[nodes_[0].first + i].byte] = nodes_[0].first + i;
        }
        growing_ = std::vector<Growing>(1);
    }

    bool is_empty() const { return nodes_.size() < 2; }

    /// Calls `take(length, token)` for every text that `text` begins with, the shortest first.
    template <class Take>
    void find_beginnings(std::string_view text, const Take& take) const {
        if (text.empty()) {
            return;
        }
        std::uint32_t node = roots_[static_cast<unsigned char>(text.front())];
        for (std::size_t i = 1; node != 0; ++i) {
            if (nodes_[node].token >= 0) {
                take(i, nodes_[node].token);
            }
            if (i == text.size()) {
                return;
            }
            node = find_child(nodes_[node], static_cast<unsigned char>(text[i]));
        }
    }

    /// The bytes of the longest text that `text` begins with; 0 for none.
    std::size_t find_longest(std::string_view text) const {
        std::size_t longest = 0;
        find_beginnings(text, [&](std::size_t length, TokenId) { longest = length; });
        return longest;
    }

private:
    struct Growing {
        std::vector<std::pair<unsigned char, std::uint32_t>> children{};  // sorted
        TokenId token = -1;
    };
    struct Node {
        TokenId token = -1;
        std::uint32_t first = 0;
        std::uint16_t count = 0;
        unsigned char byte = 0;
    };

    std::uint32_t find_child(const Node& node, unsigned char byte) const {
        const Node* begin = nodes_.data() + node.first;
        const Node* end = begin + node.count;
        if (node.count > 8) {
            begin = std::lower_bound(begin, end, byte, [](const Node& it, unsigned char value) {
                return it.byte < value;
            });
        } else {
            while (begin != end && begin->byte < byte) {
                ++begin;
            }
        }
        return begin != end && begin->byte == byte
                   ? static_cast<std::uint32_t>(begin - nodes_.data())
                   : 0;
    }

    std::vector<Growing> growing_ = std::vector<Growing>(1);
    std::vector<Node> nodes_{};
    std::array<std::uint32_t, 256> roots_{};
};

}  // namespace anamnesis::language
