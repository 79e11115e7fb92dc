// SPDX-License-Identifier: Apache-2.0
#include "http/token_pieces.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::serve {
namespace {

/// Takes the whole characters at the beginning out of `bytes`.
std::string take_characters(std::string& bytes) {
    std::string characters;
    std::size_t position = 0;
    while (position < bytes.size()) {
        const language::Utf8Step step = language::read_utf8(bytes, position);
        if (step.is_incomplete) {
            break;
        }
        characters += step.is_valid ? std::string_view(bytes).substr(position, step.length)
                                    : language::replacement_text;
        position += step.length;
    }
    bytes.erase(0, position);
    return characters;
}

/// A decoder whose text goes on with that of `before`.
language::StreamDecoder make_decoder(const language::Tokenizer& tokenizer,
                                     std::span<const TokenId> before) {
    language::StreamDecoder decoder(tokenizer);
    for (const TokenId token : before) {
        static_cast<void>(decoder.push(token));
    }
    static_cast<void>(decoder.finish());
    return decoder;
}

/// What a token that adds `piece` adds to a text that goes on with `rest`. The text may have
/// special tokens spelled out, lack a space that the tokenizer put before a word, and end earlier.
std::string fit_piece(std::string piece, std::string_view spelled, std::string_view rest) {
    if (!spelled.empty() && rest.starts_with(spelled)) {
        return std::string(spelled);
    }
    if (rest.size() < piece.size() && piece.starts_with(rest)) {
        return std::string(rest);
    }
    const std::string_view word = std::string_view(piece).substr(piece.starts_with(' ') ? 1 : 0);
    return !rest.starts_with(piece) && rest.starts_with(word) ? std::string(word) : piece;
}

}  // namespace

TokenPieces::TokenPieces(const language::Tokenizer& tokenizer, std::span<const TokenId> before)
    : tokenizer_(&tokenizer), decoder_(make_decoder(tokenizer, before)) {}

std::string TokenPieces::push(TokenId token) {
    const std::string certain = decoder_.push(token);
    if (!certain.empty()) {
        return without_given(certain);
    }
    if (tokenizer_->is_special(token)) {
        return {};
    }
    // Held back until it is certain that the next bytes do not change it, or left out.
    const bool is_first_held = bytes_.empty() && given_.empty();
    bytes_ += tokenizer_->token_bytes(token);
    std::string piece = take_characters(bytes_);
    // The first space of a text is left out, not held back.
    if (is_first_held && piece.find_first_not_of(' ') == std::string::npos) {
        return {};
    }
    given_ += piece;
    return piece;
}

std::string TokenPieces::finish() {
    return without_given(decoder_.finish());
}

std::string TokenPieces::without_given(const std::string& certain) {
    bytes_.clear();
    const std::string given = std::exchange(given_, {});
    return certain.starts_with(given) ? certain.substr(given.size()) : certain;
}

std::optional<std::vector<std::string>> match_tokens(const language::Tokenizer& tokenizer,
                                                     std::span<const TokenId> before,
                                                     std::span<const TokenId> tokens,
                                                     std::string_view text) {
    TokenPieces reader(tokenizer, before);
    std::vector<std::string> pieces;
    std::string_view rest = text;
    for (const TokenId token : tokens) {
        const std::string_view spelled =
            tokenizer.is_special(token) ? tokenizer.token_bytes(token) : std::string_view();
        pieces.push_back(fit_piece(reader.push(token), spelled, rest));
        if (!rest.starts_with(pieces.back())) {
            return std::nullopt;
        }
        rest.remove_prefix(pieces.back().size());
    }
    if (rest.empty()) {
        return pieces;
    }
    if (pieces.empty() || rest != reader.finish()) {
        return std::nullopt;
    }
    pieces.back() += rest;
    return pieces;
}

std::vector<std::string> cut_text(const language::Tokenizer& tokenizer,
                                  std::span<const TokenId> before,
                                  std::span<const TokenId> tokens,
                                  std::string_view text) {
    if (auto pieces = match_tokens(tokenizer, before, tokens, text)) {
        return *std::move(pieces);
    }
    // As the decoder gives it out, which is later, and as far as the text goes.
    language::StreamDecoder decoder = make_decoder(tokenizer, before);
    std::vector<std::string> pieces;
    std::size_t place = 0;
    for (const TokenId token : tokens) {
        const std::size_t size = std::min(decoder.push(token).size(), text.size() - place);
        pieces.emplace_back(text.substr(place, size));
        place += size;
    }
    if (!pieces.empty()) {
        pieces.back() += text.substr(place);
    }
    return pieces;
}

}  // namespace anamnesis::serve
