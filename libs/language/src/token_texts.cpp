// SPDX-License-Identifier: Apache-2.0
#include "token_texts.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "byte_alphabet.hpp"
#include "rewrites.hpp"

namespace anamnesis::language {
namespace {

/// What a token adds to a text.
std::string read_token(const TokenizerFile& file,
                       const std::map<TokenId, std::string>& normalised_forms,
                       TokenId id,
                       std::string_view text) {
    const auto form = normalised_forms.find(id);
    const bool has_form = form != normalised_forms.end();
    if (file.model == ModelKind::byte_pair && file.byte_pair.is_byte_level) {
        // A token that is looked for in normalised text adds that form, read as spelled bytes too.
        text = has_form ? form->second : text;
        const auto spelled = find_spelled_bytes(text);
        return spelled ? *spelled : std::string(text);
    }
    if (const auto decoded = file.decoded_texts.find(id); decoded != file.decoded_texts.end()) {
        return decoded->second;
    }
    text = has_form ? form->second : text;
    if (const auto byte = find_fallback_byte(text); byte && file.joining.has_byte_runs) {
        return std::string(1, static_cast<char>(*byte));
    }
    return (file.joins_with_spaces ? " " : "") + apply_rewrites(text, file.token_rewrites);
}

TokenPart find_part(const TokenizerFile& file, TokenId id, std::string_view text) {
    // The decoder drops marks of spaces, and not spaces that a token is written with.
    const bool has_own_spaces =
        !file.joining.dropped_in_first.empty() && text.find(' ') != std::string_view::npos;
    if (file.decoded_texts.contains(id) || has_own_spaces) {
        return TokenPart::fixed;
    }
    return file.joining.has_byte_runs && find_fallback_byte(text) ? TokenPart::byte
                                                                  : TokenPart::text;
}

}  // namespace

TokenTexts::TokenTexts(const TokenizerFile& file) {
    const std::size_t count = file.vocabulary.id_limit();
    std::map<TokenId, std::string> normalised_forms;
    special_.resize(count);
    for (const AddedToken& token : file.added) {
        special_[static_cast<std::size_t>(token.id)] = token.is_special;
        if (token.is_normalised && !file.normaliser.empty()) {
            normalised_forms.emplace(token.id, apply_rewrites(token.content, file.normaliser));
        }
    }
    ends_.reserve(count);
    parts_.resize(count);
    for (std::size_t id = 0; id < count; ++id) {
        const auto token = static_cast<TokenId>(id);
        if (const auto text = file.vocabulary.find_text(token)) {
            bytes_ += read_token(file, normalised_forms, token, *text);
            parts_[id] = find_part(file, token, *text);
        }
        ends_.push_back(bytes_.size());
    }
}

std::string_view TokenTexts::find_bytes(TokenId token) const {
    const auto id = static_cast<std::size_t>(token);
    if (token < 0 || id >= ends_.size()) {
        return {};
    }
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(bytes_).substr(begin, ends_[id] - begin);
}

bool TokenTexts::is_special(TokenId token) const {
    return token >= 0 && static_cast<std::size_t>(token) < special_.size() &&
           special_[static_cast<std::size_t>(token)];
}

void TokenTexts::join(TextJoiner& joiner, TokenId token, SpecialTokens treatment) const {
    const bool is_known = token >= 0 && static_cast<std::size_t>(token) < ends_.size();
    if (is_known && (treatment == SpecialTokens::keep || !is_special(token))) {
        joiner.add(find_bytes(token), parts_[static_cast<std::size_t>(token)]);
    }
}

}  // namespace anamnesis::language
