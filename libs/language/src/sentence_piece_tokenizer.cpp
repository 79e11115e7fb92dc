// SPDX-License-Identifier: Apache-2.0
#include "sentence_piece_tokenizer.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "listed_tokens.hpp"
#include "piece_merges.hpp"
#include "sentence_piece_file.hpp"
#include "sentence_piece_normaliser.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";

bool may_be_text(PieceKind kind) {
    return kind == PieceKind::normal || kind == PieceKind::user_defined ||
           kind == PieceKind::unused;
}

class Reader {
public:
    Reader(const SentencePieceFile& source, const Json& config)
        : source_(source), config_(config) {}

    TokenizerFile read() {
        for (std::size_t id = 0; id < source_.pieces.size(); ++id) {
            file_.vocabulary.add(source_.pieces[id].text, id);
            if (source_.pieces[id].kind == PieceKind::unknown) {
                unknown_ = static_cast<TokenId>(id);
            }
        }
        source_.model_type == 1 ? read_unigram() : read_byte_pairs();
        read_normaliser();
        read_joining();
        add_listed_tokens(file_, config_);
        for (AddedToken& token : file_.added) {
            // They are looked for before anything is normalised.
            token.is_normalised = false;
            file_.decoded_texts.erase(token.id);
        }
        add_control_pieces();
        add_ends();
        return std::move(file_);
    }

private:
    void read_byte_pairs() {
        std::vector<TokenId> pieces;
        std::vector<double> scores;
        std::vector<bool> halves(source_.pieces.size());
        for (std::size_t id = 0; id < source_.pieces.size(); ++id) {
            const SentencePieceFile::Piece& piece = source_.pieces[id];
            if (may_be_text(piece.kind)) {
                pieces.push_back(static_cast<TokenId>(id));
                scores.push_back(piece.score);
                halves[id] = true;
            }
            if (piece.kind == PieceKind::user_defined) {
                file_.unmerged.push_back(static_cast<TokenId>(id));
            }
        }
        const std::vector<RankedPiece> ranked = rank_by_score(pieces, scores);
        file_.model = ModelKind::byte_pair;
        file_.byte_pair = {.is_byte_level = false,
                           .falls_back = source_.falls_back_to_bytes,
                           .unknown = unknown_,
                           .fuses_unknown = true};
        if (needs_text_pairs()) {
            file_.model = ModelKind::text_pair;
            for (const RankedPiece& piece : ranked) {
                file_.text_pairs.push_back({.token = piece.token,
                                            .rank = piece.rank,
                                            .is_unused = is_unused(piece.token)});
            }
        } else {
            file_.merges = make_piece_merges(file_.vocabulary, ranked, halves);
        }
    }

    bool is_unused(TokenId id) const {
        return source_.pieces[static_cast<std::size_t>(id)].kind == PieceKind::unused;
    }

    /// Merges by the ids of pieces are not enough where a piece may not come out, or holds a
    /// character that is no piece.
    bool needs_text_pairs() const {
        return std::ranges::any_of(source_.pieces, [&](const SentencePieceFile::Piece& piece) {
            if (piece.kind == PieceKind::unused) {
                return true;
            }
            if (piece.kind != PieceKind::normal && piece.kind != PieceKind::user_defined) {
                return false;
            }
            for (std::size_t at = 0; at < piece.text.size();) {
                const std::size_t begin = at;
                static_cast<void>(next_character(piece.text, at));
                const auto id = file_.vocabulary.find(piece.text.substr(begin, at - begin));
                if (!id || !may_be_text(source_.pieces[static_cast<std::size_t>(*id)].kind)) {
                    return true;
                }
            }
            return false;
        });
    }

    /// A user-defined piece has 0.1 for each byte but the first, whatever score is stored: measured
    /// of sentencepiece 0.2.3 on models of five pieces, where the score of the other way was
    /// varied.
    void read_unigram() {
        file_.model = ModelKind::unigram;
        file_.unigram = {.unknown = unknown_,
                         .falls_back = source_.falls_back_to_bytes,
                         .is_sentence_piece = true};
        float lowest = std::numeric_limits<float>::max();
        for (std::size_t id = 0; id < source_.pieces.size(); ++id) {
            const SentencePieceFile::Piece& piece = source_.pieces[id];
            const bool is_defined = piece.kind == PieceKind::user_defined;
            if (piece.kind == PieceKind::normal) {
                lowest = std::min(lowest, piece.score);
            }
            if (is_defined || piece.kind == PieceKind::normal) {
                file_.unigram.matched.push_back(static_cast<TokenId>(id));
            }
            file_.unigram.scores.push_back(is_defined
                                               ? 0.1 * static_cast<double>(piece.text.size() - 1)
                                               : static_cast<double>(piece.score));
        }
        constexpr float penalty = 10.0F;
        file_.unigram.unknown_score = lowest - penalty;
    }

    void read_normaliser() {
        file_.normaliser.push_back(
            {.kind = Rewrite::Kind::sentence_piece,
             .sentence_piece = std::make_shared<const SentencePieceNormaliser>(source_),
             .begins_each_stretch = find_flag(config_, "legacy", true)});
    }

    void read_joining() {
        file_.token_rewrites.push_back(
            {.kind = Rewrite::Kind::replace, .from = std::string(space_mark), .to = " "});
        file_.joining = {
            .has_byte_runs = source_.falls_back_to_bytes,
            .keeps_characters_of_runs = true,
            .strips_tokens = source_.removes_extra_spaces ? TokenStripping::until_text
                             : source_.adds_dummy_prefix  ? TokenStripping::once
                                                          : TokenStripping::never,
            .stripped = std::string(1, ' '),
        };
        file_.decoded_texts.emplace(unknown_, source_.unknown_surface);
    }

    void add_control_pieces() {
        for (std::size_t id = 0; id < source_.pieces.size(); ++id) {
            const bool is_listed = std::ranges::any_of(file_.added, [&](const AddedToken& token) {
                return static_cast<std::size_t>(token.id) == id;
            });
            if (source_.pieces[id].kind == PieceKind::control && !is_listed) {
                file_.added.push_back({.id = static_cast<TokenId>(id),
                                       .content = std::string(source_.pieces[id].text),
                                       .is_special = true});
            }
        }
    }

    std::optional<TokenId> find_control(std::string_view text) const {
        const auto id = file_.vocabulary.find(text);
        const bool is_control =
            id && static_cast<std::size_t>(*id) < source_.pieces.size() &&
            source_.pieces[static_cast<std::size_t>(*id)].kind == PieceKind::control;
        return is_control ? id : std::nullopt;
    }

    void add_ends() {
        const auto add = [&](std::string_view flag,
                             bool otherwise,
                             std::string_view name,
                             std::string_view piece,
                             std::vector<TokenId>& tokens) {
            if (find_flag(config_, flag, otherwise)) {
                std::optional<TokenId> id = find_named_token(file_, config_, name);
                id = id ? id : find_control(piece);
                tokens.insert(tokens.end(), id ? 1 : 0, id.value_or(0));
            }
        };
        add("add_bos_token", true, "bos_token", source_.bos_piece, file_.before);
        add("add_eos_token", false, "eos_token", source_.eos_piece, file_.after);
    }

    const SentencePieceFile& source_;
    const Json& config_;
    TokenizerFile file_{};
    TokenId unknown_ = -1;
};

}  // namespace

TokenizerFile read_sentence_piece_tokenizer(std::string_view bytes, const Json& config) {
    const SentencePieceFile source = parse_sentence_piece_file(bytes);
    return Reader(source, config).read();
}

}  // namespace anamnesis::language
