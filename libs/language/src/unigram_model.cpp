// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/utf8.hpp"

#include "piece_model.hpp"

namespace anamnesis::language {
namespace {

/// Texts by their common beginnings.
class Trie {
public:
    void add(std::string_view text, TokenId token) {
        std::uint32_t node = 0;
        for (const char c : text) {
            std::uint32_t child = find(node, c);
            if (child == 0) {
                child = static_cast<std::uint32_t>(nodes_.size());
                auto& children = nodes_[node].children;
                children.insert(std::ranges::lower_bound(children, std::pair(c, std::uint32_t{0})),
                                {c, child});
                nodes_.emplace_back();
            }
            node = child;
        }
        nodes_[node].token = token;
    }

    /// Calls `take(length, token)` for every text that `text` begins with.
    template <class Take>
    void find_beginnings(std::string_view text, const Take& take) const {
        std::uint32_t node = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            node = find(node, text[i]);
            if (node == 0) {
                return;
            }
            if (nodes_[node].token >= 0) {
                take(i + 1, nodes_[node].token);
            }
        }
    }

private:
    struct Node {
        std::vector<std::pair<char, std::uint32_t>> children{};  // sorted
        TokenId token = -1;
    };

    std::uint32_t find(std::uint32_t node, char c) const {
        const auto& children = nodes_[node].children;
        const auto found = std::ranges::lower_bound(children, std::pair(c, std::uint32_t{0}));
        return found != children.end() && found->first == c ? found->second : 0;
    }

    std::vector<Node> nodes_ = std::vector<Node>(1);
};

/// Source: tokenizers 0.23, models/unigram/model.rs, `encode_optimized`.
class UnigramModel final : public PieceModel {
public:
    UnigramModel(const Vocabulary& vocabulary, const ByteTokens& bytes, UnigramOptions options)
        : vocabulary_(vocabulary), bytes_(bytes), options_(std::move(options)) {
        if (options_.unknown < 0) {
            throw Error(ErrorKind::malformed, "the Unigram model has no unk_id");
        }
        double lowest = std::numeric_limits<double>::infinity();
        for (std::size_t id = 0; id < options_.scores.size(); ++id) {
            const auto token = static_cast<TokenId>(id);
            if (const auto text = vocabulary.find_text(token)) {
                trie_.add(*text, token);
                lowest = std::min(lowest, options_.scores[id]);
            }
        }
        constexpr double penalty = 10.0;
        unknown_score_ = lowest - penalty;
    }

    void encode(std::string_view piece,
                std::vector<TokenId>& /*scratch*/,
                std::vector<TokenId>& result) const override {
        const std::vector<Step> steps = find_best_path(piece);
        std::vector<std::pair<std::size_t, std::size_t>> cuts;  // from the end
        std::size_t end = piece.size();
        bool was_unknown = false;
        while (end > 0) {
            const Step& step = steps[end];
            const bool is_unknown = step.token == options_.unknown;
            if (is_unknown && was_unknown) {
                cuts.back().first = step.begin;
            } else {
                cuts.emplace_back(step.begin, end);
            }
            was_unknown = is_unknown;
            end = step.begin;
        }
        for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
            add(piece.substr(cut->first, cut->second - cut->first), result);
        }
    }

private:
    /// The best way to a place in the piece.
    struct Step {
        std::size_t begin = 0;
        TokenId token = -1;
        double score = 0.0;
        bool is_reached = false;
    };

    std::vector<Step> find_best_path(std::string_view piece) const {
        std::vector<Step> steps(piece.size() + 1);
        for (std::size_t at = 0; at < piece.size();) {
            std::size_t next = at;
            static_cast<void>(next_character(piece, next));
            const double so_far = steps[at].score;
            const auto offer = [&](std::size_t end, TokenId token, double score) {
                Step& step = steps[end];
                if (!step.is_reached || score > step.score) {
                    step = {.begin = at, .token = token, .score = score, .is_reached = true};
                }
            };
            bool has_character = false;
            trie_.find_beginnings(piece.substr(at), [&](std::size_t length, TokenId token) {
                offer(
                    at + length, token, so_far + options_.scores[static_cast<std::size_t>(token)]);
                has_character = has_character || at + length == next;
            });
            if (!has_character) {
                offer(next, options_.unknown, so_far + unknown_score_);
            }
            at = next;
        }
        return steps;
    }

    void add(std::string_view text, std::vector<TokenId>& result) const {
        if (const auto token = vocabulary_.find(text)) {
            result.push_back(*token);
            return;
        }
        const bool has_bytes = std::ranges::all_of(
            text, [&](char byte) { return bytes_[static_cast<unsigned char>(byte)] >= 0; });
        if (!options_.falls_back || !has_bytes) {
            result.push_back(options_.unknown);
            return;
        }
        for (const char byte : text) {
            result.push_back(bytes_[static_cast<unsigned char>(byte)]);
        }
    }

    const Vocabulary& vocabulary_;
    const ByteTokens& bytes_;
    UnigramOptions options_;
    Trie trie_;
    double unknown_score_ = 0.0;
};

}  // namespace

std::unique_ptr<PieceModel> make_unigram_model(const Vocabulary& vocabulary,
                                               const ByteTokens& bytes,
                                               const UnigramOptions& options) {
    return std::make_unique<UnigramModel>(vocabulary, bytes, options);
}

}  // namespace anamnesis::language
