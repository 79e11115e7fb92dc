// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/language/utf8.hpp"

#include "piece_model.hpp"

namespace anamnesis::language {
namespace {

constexpr std::size_t nowhere = ~std::size_t{0};
constexpr std::uint32_t no_rank = 0xFFFFFFFFU;

/// A stretch of the text in a list that merges shorten.
struct Symbol {
    std::string_view text;
    std::size_t previous = nowhere;
    std::size_t next = nowhere;
};

/// Rank, place of the left symbol, bytes of both.
using Candidate = std::tuple<std::uint32_t, std::size_t, std::size_t>;

/// How unused tokens came about: their two parts.
using Origins = std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>>;

std::vector<Symbol> spell(std::string_view piece) {
    std::vector<Symbol> symbols;
    for (std::size_t at = 0; at < piece.size();) {
        const std::size_t begin = at;
        static_cast<void>(next_character(piece, at));
        const std::size_t place = symbols.size();
        symbols.push_back({.text = piece.substr(begin, at - begin),
                           .previous = place == 0 ? nowhere : place - 1,
                           .next = at == piece.size() ? nowhere : place + 1});
    }
    return symbols;
}

/// Source: sentencepiece 0.2.3, bpe_model.cc.
class TextPairModel final : public PieceModel {
public:
    TextPairModel(const Vocabulary& vocabulary,
                  std::span<const TextPair> pairs,
                  const ByteTokens& bytes,
                  const BytePairOptions& options)
        : vocabulary_(vocabulary), bytes_(bytes), options_(options) {
        ranks_.resize(vocabulary.id_limit(), no_rank);
        unused_.resize(vocabulary.id_limit());
        for (const TextPair& pair : pairs) {
            ranks_[static_cast<std::size_t>(pair.token)] = pair.rank;
            unused_[static_cast<std::size_t>(pair.token)] = pair.is_unused;
            longest_ = std::max(longest_, vocabulary.find_text(pair.token)->size());
        }
    }

    void encode(std::string_view piece,
                std::vector<TokenId>& /*scratch*/,
                std::vector<TokenId>& result) const override {
        std::vector<Symbol> symbols = spell(piece);
        const Origins origins = merge(symbols);
        bool was_unknown = false;
        std::vector<std::string_view> parts;  // the next one last
        for (std::size_t at = symbols.empty() ? nowhere : 0; at != nowhere; at = symbols[at].next) {
            parts.assign(1, symbols[at].text);
            while (!parts.empty()) {
                const std::string_view text = parts.back();
                parts.pop_back();
                const TokenId token = vocabulary_.find(text).value_or(options_.unknown);
                const auto origin = is_unused(token) ? origins.find(text) : origins.end();
                if (origin != origins.end()) {
                    parts.push_back(origin->second.second);
                    parts.push_back(origin->second.first);
                } else {
                    add(text, token, was_unknown, result);
                }
            }
        }
    }

private:
    bool is_unused(TokenId token) const { return unused_[static_cast<std::size_t>(token)]; }

    /// Merges in place; symbols that are merged away have no text.
    Origins merge(std::vector<Symbol>& symbols) const {
        Origins origins;
        std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
        const auto offer = [&](std::size_t left, std::size_t right) {
            if (left == nowhere || right == nowhere) {
                return;
            }
            const std::string_view first = symbols[left].text;
            const std::string_view second = symbols[right].text;
            const std::size_t size = first.size() + second.size();
            const auto token = size > longest_
                                   ? std::nullopt
                                   : vocabulary_.find(std::string_view(first.data(), size));
            if (!token || ranks_[static_cast<std::size_t>(*token)] == no_rank) {
                return;
            }
            queue.emplace(ranks_[static_cast<std::size_t>(*token)], left, size);
            if (is_unused(*token)) {
                origins[std::string_view(first.data(), size)] = {first, second};
            }
        };
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            offer(i, i + 1);
        }
        while (!queue.empty()) {
            const auto [rank, place, size] = queue.top();
            queue.pop();
            Symbol& left = symbols[place];
            if (left.text.empty() || left.next == nowhere ||
                left.text.size() + symbols[left.next].text.size() != size) {
                continue;
            }
            Symbol& right = symbols[left.next];
            left.text = std::string_view(left.text.data(), size);
            right.text = {};
            left.next = right.next;
            if (left.next != nowhere) {
                symbols[left.next].previous = place;
            }
            offer(left.previous, place);
            offer(place, left.next);
        }
        return origins;
    }

    void add(std::string_view text,
             TokenId token,
             bool& was_unknown,
             std::vector<TokenId>& result) const {
        const bool is_unknown = token == options_.unknown;
        if (is_unknown && options_.falls_back) {
            for (const char byte : text) {
                result.push_back(bytes_[static_cast<unsigned char>(byte)]);
            }
        } else if (!is_unknown || !was_unknown) {
            result.push_back(token);
        }
        was_unknown = is_unknown;
    }

    const Vocabulary& vocabulary_;
    const ByteTokens& bytes_;
    BytePairOptions options_;
    std::vector<std::uint32_t> ranks_;  // by token
    std::vector<bool> unused_;
    std::size_t longest_ = 0;
};

}  // namespace

std::unique_ptr<PieceModel> make_text_pair_model(const Vocabulary& vocabulary,
                                                 std::span<const TextPair> pairs,
                                                 const ByteTokens& bytes,
                                                 const BytePairOptions& options) {
    return std::make_unique<TextPairModel>(vocabulary, pairs, bytes, options);
}

}  // namespace anamnesis::language
