// SPDX-License-Identifier: Apache-2.0
#include "text_encoder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "rewrites.hpp"

namespace anamnesis::language {
namespace {

// By which SentencePiece's vocabularies write a space.
constexpr std::string_view space_mark = "\xE2\x96\x81";

}  // namespace

/// One text on its way.
struct TextEncoder::Run {
    bool leaves_special = false;
    PieceCache cache;
    std::vector<TokenId> symbols{};
    std::vector<TokenId> result{};
};

TextEncoder::TextEncoder(const TokenizerFile& file) : file_(file) {
    for (const SplitStage& stage : file.stages) {
        splitter_.add(stage);
    }
    for (const AddedToken& token : file.added) {
        if (token.is_normalised && !file.normaliser.empty()) {
            AddedToken form = token;
            form.content = apply_rewrites(token.content, file.normaliser);
            finder_in_normalised_.add(form);
        } else {
            finder_.add(token);
        }
    }
    for (const TokenId token : file.unmerged) {
        unmerged_finder_.add(
            {.id = token, .content = std::string(*file.vocabulary.find_text(token))});
    }
    const bool is_byte_level = file.model == ModelKind::byte_pair && file.byte_pair.is_byte_level;
    for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
        std::string spelling;
        if (is_byte_level) {
            append_utf8(spelling, character_of_byte(static_cast<unsigned char>(byte)));
        }
        const std::string fallback = format("<0x{:02X}>", byte);
        if (!is_byte_level) {
            spelling = fallback;
        }
        auto token = file.vocabulary.find(spelling);
        if (!token && is_byte_level && file.byte_pair.falls_back) {
            token = file.vocabulary.find(fallback);
        }
        byte_tokens_[byte] = token.value_or(-1);
    }
    model_ = make_model();
    cuts_at_marks_ = is_cut_at_marks();
}

std::unique_ptr<PieceModel> TextEncoder::make_model() const {
    switch (file_.model) {
        case ModelKind::word_level:
            return make_word_model(file_.vocabulary, file_.unknown);
        case ModelKind::unigram:
            return make_unigram_model(file_.vocabulary, byte_tokens_, file_.unigram);
        case ModelKind::text_pair:
            return make_text_pair_model(
                file_.vocabulary, file_.text_pairs, byte_tokens_, file_.byte_pair);
        case ModelKind::byte_pair:
            break;
    }
    return make_byte_pair_model(file_.vocabulary, file_.merges, byte_tokens_, file_.byte_pair);
}

/// Whether the tokens of a text are those of its words, each with the marks before it: no merge
/// joins what ends in another character with what begins with a mark.
bool TextEncoder::is_cut_at_marks() const {
    if (file_.model != ModelKind::byte_pair || file_.byte_pair.is_byte_level ||
        file_.byte_pair.ignores_merges || !file_.vocabulary.find(space_mark)) {
        return false;
    }
    return file_.merges.none_of([&](TokenId left, TokenId right) {
        return file_.vocabulary.find_text(right).value_or("").starts_with(space_mark) &&
               !file_.vocabulary.find_text(left).value_or("").ends_with(space_mark);
    });
}

void TextEncoder::encode_piece(std::string_view piece, Run& run) const {
    if (piece.size() > PieceCache::longest) {
        model_->encode(piece, run.symbols, run.result);
        return;
    }
    const std::uint64_t hash = hash_text(piece);
    const std::size_t begin = run.result.size();
    if (const PieceCache::Place* place = run.cache.find(piece, hash)) {
        run.result.resize(begin + place->count);
        std::copy_n(run.result.begin() + static_cast<std::ptrdiff_t>(place->begin),
                    place->count,
                    run.result.begin() + static_cast<std::ptrdiff_t>(begin));
        return;
    }
    model_->encode(piece, run.symbols, run.result);
    run.cache.keep(piece, hash, begin, run.result.size() - begin);
}

void TextEncoder::encode_cut_at_marks(std::string_view piece, Run& run) const {
    std::size_t begin = 0;
    while (begin < piece.size()) {
        std::size_t end = begin;
        while (piece.substr(end).starts_with(space_mark)) {
            end += space_mark.size();
        }
        end = std::min(piece.find(space_mark, end), piece.size());
        encode_piece(piece.substr(begin, end - begin), run);
        begin = end;
    }
}

/// Text without added tokens, normalised.
void TextEncoder::encode_plain(const TextPiece& text, Run& run) const {
    splitter_.split(text, [&](std::string_view piece) {
        if (cuts_at_marks_) {
            encode_cut_at_marks(piece, run);
        } else {
            encode_piece(piece, run);
        }
    });
}

void TextEncoder::encode_normalised(const TextPiece& text, Run& run) const {
    const auto encode_part = [&](std::string_view part, TokenId unmerged) {
        if (unmerged >= 0) {
            run.result.push_back(unmerged);
            return;
        }
        const bool begins = text.begins_text && part.data() == text.text.data();
        encode_plain({.text = part, .begins_text = begins}, run);
    };
    finder_in_normalised_.split(
        text.text, run.leaves_special, [&](std::string_view part, TokenId found) {
            if (found >= 0) {
                run.result.push_back(found);
                return;
            }
            unmerged_finder_.split(part, false, encode_part);
        });
}

bool TextEncoder::needs_copy(std::string_view text) const {
    // What is ASCII is its own NFC form.
    return std::ranges::any_of(
               file_.normaliser,
               [](const Rewrite& step) { return step.kind != Rewrite::Kind::nfc; }) ||
           (!file_.normaliser.empty() && std::ranges::any_of(text, [](char c) {
               return static_cast<unsigned char>(c) >= 0x80;
           }));
}

/// A stretch between added tokens of the text as it was given.
void TextEncoder::encode_segment(const TextPiece& segment, Run& run) const {
    if (!needs_copy(segment.text)) {
        encode_normalised(segment, run);
        return;
    }
    const std::string form = apply_rewrites(segment.text, file_.normaliser, segment.begins_text);
    encode_normalised({.text = form, .begins_text = segment.begins_text}, run);
}

std::vector<TokenId> TextEncoder::encode(std::string_view text,
                                         const EncodeOptions& options) const {
    Run run{.leaves_special = options.special_text == SpecialText::plain,
            .cache = PieceCache(text.size())};
    run.result.reserve(text.size() / 3);
    if (options.adds_special) {
        run.result.insert(run.result.end(), file_.before.begin(), file_.before.end());
    }
    const std::string repaired = is_utf8(text) ? std::string() : replace_ill_formed(text);
    const std::string_view whole = repaired.empty() ? text : std::string_view(repaired);
    finder_.split(whole, run.leaves_special, [&](std::string_view segment, TokenId token) {
        if (token >= 0) {
            run.result.push_back(token);
            return;
        }
        const bool begins = segment.data() == whole.data();
        encode_segment({.text = segment, .begins_text = begins}, run);
    });
    if (options.adds_special) {
        run.result.insert(run.result.end(), file_.after.begin(), file_.after.end());
    }
    return std::move(run.result);
}

}  // namespace anamnesis::language
