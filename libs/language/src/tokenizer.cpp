// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/tokenizer.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "text_encoder.hpp"
#include "text_joiner.hpp"
#include "token_texts.hpp"
#include "tokenizer_file.hpp"
#include "tokenizer_folder.hpp"

namespace anamnesis::language {

struct Tokenizer::Impl {
    explicit Impl(TokenizerFile source) : file(std::move(source)) {}

    bool is_byte_level() const {
        return file.model == ModelKind::byte_pair && file.byte_pair.is_byte_level;
    }

    /// Bytes of UTF-8 that have no token.
    std::vector<std::size_t> missing_bytes() const {
        std::vector<std::size_t> missing;
        const ByteTokens& tokens = encoder.byte_tokens();
        for (std::size_t byte = 0; byte < tokens.size(); ++byte) {
            const bool never_occurs = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
            if (tokens[byte] < 0 && !never_occurs) {
                missing.push_back(byte);
            }
        }
        return missing;
    }

    TokenizerFile file;
    TextEncoder encoder = TextEncoder(file);
    TokenTexts texts = TokenTexts(file);
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::open(const std::filesystem::path& folder_or_file) {
    return Tokenizer(std::make_unique<const Impl>(open_tokenizer_file(folder_or_file)));
}

bool Tokenizer::is_in(const std::filesystem::path& place) {
    return find_tokenizer_file(place).has_value();
}

Tokenizer Tokenizer::read_model(std::string_view bytes, const Json& config, std::string_view name) {
    return in_context(
        [&] { return format("reading {}", name); },
        [&] { return Tokenizer(std::make_unique<const Impl>(parse_model_file(bytes, config))); });
}

Tokenizer Tokenizer::read(std::string_view json, std::string_view name) {
    return in_context(
        [&] { return format("reading {}", name); },
        [&] { return Tokenizer(std::make_unique<const Impl>(parse_tokenizer_json(json))); });
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialText treatment) const {
    return impl_->encoder.encode(text, {.special_text = treatment});
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
    return impl_->encoder.encode(text, options);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, SpecialTokens special) const {
    TextJoiner joiner(impl_->file.joining);
    for (const TokenId token : tokens) {
        impl_->texts.join(joiner, token, special);
    }
    return joiner.finish();
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
    return impl_->file.vocabulary.find(token);
}

bool Tokenizer::cuts_before_spaces() const {
    const TokenizerFile& file = impl_->file;
    return impl_->is_byte_level() && impl_->encoder.has_known_stages() &&
           std::ranges::all_of(
               file.normaliser,
               [](const Rewrite& step) { return step.kind == Rewrite::Kind::nfc; }) &&
           std::ranges::none_of(file.added, [](const AddedToken& token) {
               return token.strips_left || token.strips_right ||
                      token.content.find(' ') != std::string::npos;
           });
}

std::optional<std::string_view> Tokenizer::find_text(TokenId token) const& {
    return impl_->file.vocabulary.find_text(token);
}

std::size_t Tokenizer::vocabulary_size() const {
    return impl_->file.vocabulary.id_limit();
}

bool Tokenizer::is_special(TokenId token) const {
    return impl_->texts.is_special(token);
}

std::optional<TokenId> Tokenizer::unknown_token() const {
    const TokenizerFile& file = impl_->file;
    const bool is_unigram = file.model == ModelKind::unigram;
    const TokenId token = file.model == ModelKind::word_level ? file.unknown
                          : is_unigram                        ? file.unigram.unknown
                                                              : file.byte_pair.unknown;
    const bool spells_bytes = impl_->is_byte_level() ||
                              (is_unigram ? file.unigram.falls_back : file.byte_pair.falls_back);
    const bool has_all = spells_bytes && impl_->missing_bytes().empty();
    return token < 0 || has_all ? std::nullopt : std::optional(token);
}

std::string_view Tokenizer::token_bytes(TokenId token) const& {
    return impl_->texts.find_bytes(token);
}

std::vector<std::string> Tokenizer::list_notes() const {
    std::vector<std::string> missing;
    for (const std::size_t byte : impl_->missing_bytes()) {
        missing.push_back(format("0x{:02X}", byte));
    }
    const TokenizerFile& file = impl_->file;
    const bool loses_them =
        impl_->is_byte_level() || (file.byte_pair.falls_back && file.byte_pair.unknown < 0);
    std::vector<std::string> notes = file.notes;
    if (missing.empty() || file.model != ModelKind::byte_pair || !loses_them) {
        return notes;
    }
    const std::size_t count = missing.size();
    missing.resize(std::min<std::size_t>(count, 3));
    notes.push_back(
        format("the vocabulary has no token for {} of the 256 bytes ({}{}): texts with them are "
               "refused",
               count,
               anamnesis::join(missing, ", "),
               count > 3 ? ", …" : ""));
    return notes;
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, SpecialTokens special)
    : impl_(tokenizer.impl_.get()),
      special_(special),
      joiner_(std::make_unique<TextJoiner>(impl_->file.joining)) {}

StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(TokenId token) {
    impl_->texts.join(*joiner_, token, special_);
    return joiner_->take_certain();
}

std::string StreamDecoder::finish() {
    return joiner_->finish();
}

}  // namespace anamnesis::language
