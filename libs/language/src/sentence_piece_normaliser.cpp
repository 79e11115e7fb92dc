// SPDX-License-Identifier: Apache-2.0
#include "sentence_piece_normaliser.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language {

SentencePieceNormaliser::SentencePieceNormaliser(const SentencePieceFile& file)
    : characters_(file.character_map),
      adds_dummy_prefix_(file.adds_dummy_prefix),
      removes_extra_spaces_(file.removes_extra_spaces),
      space_(file.escapes_spaces ? "\xE2\x96\x81" : " ") {
    for (std::size_t byte = 0; byte < 0x80; ++byte) {
        is_plain_[byte] = byte != ' ' && !characters_.begins(static_cast<unsigned char>(byte));
    }
    for (const SentencePieceFile::Piece& piece : file.pieces) {
        if (piece.kind == PieceKind::user_defined) {
            user_defined_.add(piece.text, 0);
            is_plain_[static_cast<unsigned char>(piece.text.front())] = false;
        }
    }
    user_defined_.seal();
}

SentencePieceNormaliser::Step SentencePieceNormaliser::read_step(std::string_view text) const {
    if (const std::size_t length = user_defined_.find_longest(text); length > 0) {
        return {.length = length, .text = text.substr(0, length)};
    }
    if (const CharacterMap::Match match = characters_.find_longest(text); match.length > 0) {
        return {.length = match.length, .text = match.text};
    }
    const Utf8Step step = read_utf8(text, 0);
    if (!step.is_valid) {
        return {.length = 1, .text = replacement_text};
    }
    return {.length = step.length, .text = text.substr(0, step.length)};
}

std::size_t SentencePieceNormaliser::skip_spaces(std::string_view text) const {
    std::size_t at = 0;
    while (at < text.size()) {
        const Step step = read_step(text.substr(at));
        if (step.text != " ") {
            break;
        }
        at += step.length;
    }
    return at;
}

std::size_t SentencePieceNormaliser::plain_stretch(std::string_view text, std::size_t begin) const {
    std::size_t end = begin;
    while (end < text.size() && is_plain_[static_cast<unsigned char>(text[end])]) {
        ++end;
    }
    return end - begin;
}

void SentencePieceNormaliser::append(std::string& result, std::string_view text) const {
    for (const char c : text) {
        if (c == ' ') {
            result += space_;
        } else {
            result += c;
        }
    }
}

std::string SentencePieceNormaliser::normalise(std::string_view text, bool may_begin) const {
    std::string result;
    std::size_t at = removes_extra_spaces_ ? skip_spaces(text) : 0;
    if (at == text.size()) {
        return result;
    }
    result.reserve(text.size() + text.size() / 2);
    if (adds_dummy_prefix_ && may_begin) {
        result += space_;
    }
    bool follows_space = removes_extra_spaces_;
    while (at < text.size()) {
        if (const std::size_t length = plain_stretch(text, at); length > 0) {
            result += text.substr(at, length);
            at += length;
            follows_space = false;
            continue;
        }
        Step step = read_step(text.substr(at));
        at += step.length;
        while (follows_space && step.text.starts_with(' ')) {
            step.text.remove_prefix(1);
        }
        if (!step.text.empty()) {
            append(result, step.text);
            follows_space = removes_extra_spaces_ && step.text.ends_with(' ');
        }
    }
    while (removes_extra_spaces_ && result.ends_with(space_)) {
        result.resize(result.size() - space_.size());
    }
    return is_utf8(result) ? result : replace_ill_formed(result);
}

}  // namespace anamnesis::language
