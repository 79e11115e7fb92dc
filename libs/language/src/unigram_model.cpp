// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/utf8.hpp"

#include "piece_model.hpp"
#include "text_trie.hpp"

namespace anamnesis::language {
namespace {

/// `Sum` is the type that scores are summed in: a sum along a long text depends on it.
/// Source: tokenizers 0.23, models/unigram/model.rs, `encode_optimized`; sentencepiece 0.2.3,
/// unigram_model.cc, `EncodeOptimized`.
template <class Sum>
class UnigramModel final : public PieceModel {
public:
    UnigramModel(const Vocabulary& vocabulary, const ByteTokens& bytes, UnigramOptions options)
        : vocabulary_(vocabulary), bytes_(bytes), options_(std::move(options)) {
        if (options_.unknown < 0) {
            throw Error(ErrorKind::malformed, "the Unigram model has no unk_id");
        }
        double lowest = std::numeric_limits<double>::infinity();
        const auto add = [&](TokenId token) {
            if (const auto text = vocabulary.find_text(token)) {
                trie_.add(*text, token);
                lowest = std::min(lowest, options_.scores[static_cast<std::size_t>(token)]);
            }
        };
        for (std::size_t id = 0; options_.matched.empty() && id < options_.scores.size(); ++id) {
            add(static_cast<TokenId>(id));
        }
        for (const TokenId token : options_.matched) {
            add(token);
        }
        trie_.seal();
        constexpr double penalty = 10.0;
        unknown_score_ = static_cast<Sum>(options_.unknown_score.value_or(lowest - penalty));
        std::ranges::transform(options_.scores, std::back_inserter(scores_), [](double score) {
            return static_cast<Sum>(score);
        });
    }

    void encode(std::string_view piece,
                std::vector<TokenId>& /*scratch*/,
                std::vector<TokenId>& result) const override {
        const std::vector<Step> steps = find_best_path(piece);
        std::vector<Cut> cuts;  // from the end
        std::size_t end = piece.size();
        bool was_unknown = false;
        while (end > 0) {
            const Step& step = steps[end];
            const bool is_unknown = step.token == options_.unknown;
            if (is_unknown && was_unknown) {
                cuts.back().begin = step.begin;
            } else {
                cuts.push_back({.begin = step.begin, .end = end, .token = step.token});
            }
            was_unknown = is_unknown;
            end = step.begin;
        }
        for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
            if (cut->token != options_.unknown) {
                result.push_back(cut->token);
            } else {
                add_unknown(piece.substr(cut->begin, cut->end - cut->begin), result);
            }
        }
    }

private:
    static constexpr std::size_t unreached = ~std::size_t{0};

    /// The best way to a place in the piece.
    struct Step {
        std::size_t begin = unreached;
        TokenId token = -1;
        Sum score = 0;
    };
    struct Cut {
        std::size_t begin = 0;
        std::size_t end = 0;
        TokenId token = -1;
    };

    std::vector<Step> find_best_path(std::string_view piece) const {
        std::vector<Step> steps(piece.size() + 1);
        for (std::size_t at = 0; at < piece.size();) {
            std::size_t next = at;
            static_cast<void>(next_character(piece, next));
            const Sum so_far = steps[at].score;
            const auto offer = [&](std::size_t end, TokenId token, Sum score) {
                Step& step = steps[end];
                if (step.begin == unreached || score > step.score) {
                    step = {.begin = at, .token = token, .score = score};
                }
            };
            bool has_character = false;
            trie_.find_beginnings(piece.substr(at), [&](std::size_t length, TokenId token) {
                offer(at + length, token, so_far + scores_[static_cast<std::size_t>(token)]);
                has_character = has_character || at + length == next;
            });
            if (!has_character) {
                offer(next, options_.unknown, so_far + unknown_score_);
            }
            at = next;
        }
        return steps;
    }

    void add_unknown(std::string_view text, std::vector<TokenId>& result) const {
        if (const auto token = vocabulary_.find(text); token && !options_.is_sentence_piece) {
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
    TextTrie trie_;
    std::vector<Sum> scores_;  // by token
    Sum unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<PieceModel> make_unigram_model(const Vocabulary& vocabulary,
                                               const ByteTokens& bytes,
                                               const UnigramOptions& options) {
    if (options.is_sentence_piece) {
        return std::make_unique<UnigramModel<float>>(vocabulary, bytes, options);
    }
    return std::make_unique<UnigramModel<double>>(vocabulary, bytes, options);
}

}  // namespace anamnesis::language
