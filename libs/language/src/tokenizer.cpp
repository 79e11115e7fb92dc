// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/utf8.hpp"

#include "added_tokens.hpp"
#include "byte_alphabet.hpp"
#include "normalisation.hpp"
#include "piece_cache.hpp"
#include "pre_tokenizer.hpp"
#include "rewrites.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

std::optional<unsigned char> find_byte(std::string_view token) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
        return std::nullopt;
    }
    const std::size_t high = digits.find(token[3]);
    const std::size_t low = digits.find(token[4]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
        return std::nullopt;
    }
    return static_cast<unsigned char>(high * 16 + low);
}

/// Unicode's White_Space.
bool is_white_space(char32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

}  // namespace

struct Tokenizer::Impl {
    explicit Impl(TokenizerFile source) : file(std::move(source)) {
        for (const std::string& pattern : file.patterns) {
            splitter.add(pattern);
        }
        special.resize(file.vocabulary.id_limit());
        for (const AddedToken& token : file.added) {
            special[static_cast<std::size_t>(token.id)] = token.is_special;
            if (token.is_normalised && !file.normaliser.empty()) {
                AddedToken form = token;
                form.content = apply_rewrites(token.content, file.normaliser);
                finder_in_normalised.add(form);
            } else {
                finder.add(token);
            }
        }
        for (std::size_t byte = 0; byte < byte_ids.size(); ++byte) {
            std::string spelling;
            if (file.is_byte_level) {
                append_utf8(spelling, character_of_byte(static_cast<unsigned char>(byte)));
            } else {
                spelling = format("<0x{:02X}>", byte);
            }
            byte_ids[byte] = file.vocabulary.find(spelling).value_or(-1);
        }
        fill_bytes();
    }

    void fill_bytes() {
        ends.reserve(file.vocabulary.id_limit());
        for (std::size_t id = 0; id < file.vocabulary.id_limit(); ++id) {
            if (const auto text = file.vocabulary.find_text(static_cast<TokenId>(id))) {
                if (file.is_word_level) {
                    bytes += " " + std::string(*text);
                } else if (file.is_byte_level) {
                    const auto spelled = find_spelled_bytes(*text);
                    bytes += spelled ? *spelled : *text;
                } else if (const auto byte = find_byte(*text)) {
                    bytes.push_back(static_cast<char>(*byte));
                } else {
                    bytes += replace_all(*text, "\xE2\x96\x81", " ");
                }
            }
            ends.push_back(bytes.size());
        }
    }

    std::string_view token_bytes(TokenId token) const {
        const auto id = static_cast<std::size_t>(token);
        if (token < 0 || id >= ends.size()) {
            return {};
        }
        const std::size_t begin = id == 0 ? 0 : ends[id - 1];
        return std::string_view(bytes).substr(begin, ends[id] - begin);
    }

    bool is_special(TokenId token) const {
        return token >= 0 && static_cast<std::size_t>(token) < special.size() &&
               special[static_cast<std::size_t>(token)];
    }

    void encode_piece(std::string_view piece,
                      std::vector<TokenId>& symbols,
                      std::vector<TokenId>& result) const {
        if (file.ignores_merges) {
            const auto whole =
                file.vocabulary.find(file.is_byte_level ? spell_bytes(piece) : std::string(piece));
            if (whole) {
                result.push_back(*whole);
                return;
            }
        }
        symbols.clear();
        const auto push_bytes = [&](std::string_view part) {
            for (const char byte : part) {
                symbols.push_back(byte_ids[static_cast<unsigned char>(byte)]);
            }
        };
        if (file.is_byte_level) {
            push_bytes(piece);
        } else {
            for (std::size_t position = 0; position < piece.size();) {
                const std::size_t begin = position;
                static_cast<void>(next_character(piece, position));
                const std::string_view character = piece.substr(begin, position - begin);
                if (const auto id = file.vocabulary.find(character)) {
                    symbols.push_back(*id);
                } else {
                    push_bytes(character);
                }
            }
        }
        file.merges.apply(symbols);
        result.insert(result.end(), symbols.begin(), symbols.end());
    }

    void encode_words(std::string_view text, std::vector<TokenId>& result) const {
        std::size_t begin = 0;
        const auto take = [&](std::size_t end) {
            if (end > begin) {
                const auto id = file.vocabulary.find(text.substr(begin, end - begin));
                result.push_back(id.value_or(file.unknown));
            }
        };
        for (std::size_t position = 0; position < text.size();) {
            const std::size_t at = position;
            if (is_white_space(next_character(text, position))) {
                take(at);
                begin = position;
            }
        }
        take(text.size());
    }

    /// Text without added tokens, normalised; must stay in place until `cache` forgets it.
    void encode_plain(std::string_view text,
                      PieceCache& cache,
                      std::vector<TokenId>& symbols,
                      std::vector<TokenId>& result) const {
        if (file.is_word_level) {
            encode_words(text, result);
            return;
        }
        constexpr std::size_t longest_kept = 64;
        splitter.split(text, [&](std::string_view piece) {
            if (piece.size() > longest_kept) {
                encode_piece(piece, symbols, result);
                return;
            }
            const std::uint64_t hash = hash_text(piece);
            PieceCache::Place& place = cache.at(hash);
            if (place.hash == hash && place.piece == piece) {
                const std::size_t begin = place.begin;
                for (std::size_t i = 0; i < place.count; ++i) {
                    const TokenId token = result[begin + i];
                    result.push_back(token);
                }
                return;
            }
            const std::size_t begin = result.size();
            encode_piece(piece, symbols, result);
            place = {.hash = hash, .piece = piece, .begin = begin, .count = result.size() - begin};
        });
    }

    bool needs_copy(std::string_view text) const {
        if (file.adds_prefix_space) {
            return true;
        }
        // What is ASCII is its own NFC form.
        return std::ranges::any_of(
                   file.normaliser,
                   [](const Rewrite& step) { return step.kind != Rewrite::Kind::nfc; }) ||
               (!file.normaliser.empty() && std::ranges::any_of(text, [](char c) {
                   return static_cast<unsigned char>(c) >= 0x80;
               }));
    }

    std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const {
        std::vector<TokenId> result;
        std::vector<TokenId> symbols;
        PieceCache cache(text.size());
        if (options.adds_special) {
            result = file.before;
        }
        const bool leaves_special = options.special_text == SpecialText::plain;
        const auto encode_segment = [&](std::string_view segment, TokenId token) {
            if (token >= 0) {
                result.push_back(token);
                return;
            }
            if (!needs_copy(segment)) {
                finder_in_normalised.split(
                    segment, leaves_special, [&](std::string_view part, TokenId found) {
                        if (found >= 0) {
                            result.push_back(found);
                        } else {
                            encode_plain(part, cache, symbols, result);
                        }
                    });
                return;
            }
            const std::string form = apply_rewrites(segment, file.normaliser);
            PieceCache own(form.size());
            finder_in_normalised.split(
                form, leaves_special, [&](std::string_view part, TokenId found) {
                    if (found >= 0) {
                        result.push_back(found);
                    } else if (file.adds_prefix_space && !part.starts_with(' ')) {
                        const std::string spaced = " " + std::string(part);
                        encode_plain(spaced, own, symbols, result);
                        own.forget();
                    } else {
                        encode_plain(part, own, symbols, result);
                    }
                });
        };
        if (is_utf8(text)) {
            finder.split(text, leaves_special, encode_segment);
        } else {
            const std::string repaired = replace_ill_formed(text);
            finder.split(repaired, leaves_special, encode_segment);
        }
        if (options.adds_special) {
            result.insert(result.end(), file.after.begin(), file.after.end());
        }
        return result;
    }

    TokenizerFile file;
    PreTokenizer splitter;
    AddedTokenFinder finder;
    AddedTokenFinder finder_in_normalised;
    std::vector<bool> special;
    std::array<TokenId, 256> byte_ids{};
    std::string bytes;  // of all tokens, one after the other
    std::vector<std::size_t> ends;
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::open(const std::filesystem::path& folder_or_file) {
    const bool is_folder = std::filesystem::is_directory(folder_or_file);
    const std::filesystem::path file =
        is_folder ? folder_or_file / "tokenizer.json" : folder_or_file;
    if (is_folder && !std::filesystem::exists(file)) {
        if (!std::filesystem::exists(folder_or_file / "vocab.json")) {
            throw Error(ErrorKind::not_found,
                        format("{} holds neither tokenizer.json nor vocab.json",
                               in_quotes(folder_or_file.string(), 1000)));
        }
        return in_context(
            [&] { return format("opening the tokenizer of {}", folder_or_file.string()); },
            [&] {
                return Tokenizer(
                    std::make_unique<const Impl>(read_vocabulary_and_merges(folder_or_file)));
            });
    }
    return read(io::read_text(file, std::uint64_t{256} << 20U), file.string());
}

Tokenizer Tokenizer::read(std::string_view json, std::string_view name) {
    return in_context(
        [&] { return format("reading {}", name); },
        [&] { return Tokenizer(std::make_unique<const Impl>(parse_tokenizer_json(json))); });
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialText treatment) const {
    return impl_->encode(text, {.special_text = treatment});
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
    return impl_->encode(text, options);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, SpecialTokens special) const {
    std::string bytes;
    for (const TokenId token : tokens) {
        if (special == SpecialTokens::keep || !impl_->is_special(token)) {
            bytes += impl_->token_bytes(token);
        }
    }
    if (impl_->file.strips_leading_space && bytes.starts_with(' ')) {
        bytes.erase(0, 1);
    }
    return is_utf8(bytes) ? bytes : replace_ill_formed(bytes);
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
    return impl_->file.vocabulary.find(token);
}

bool Tokenizer::cuts_before_spaces() const {
    const TokenizerFile& file = impl_->file;
    return file.is_byte_level && !file.adds_prefix_space && impl_->splitter.is_known() &&
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
    return impl_->is_special(token);
}

std::string_view Tokenizer::token_bytes(TokenId token) const& {
    return impl_->token_bytes(token);
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, SpecialTokens special)
    : impl_(tokenizer.impl_.get()), special_(special) {}

void StreamDecoder::take(std::string_view bytes) {
    bytes_ += bytes;
    if (is_at_start_ && !bytes_.empty()) {
        is_at_start_ = false;
        if (impl_->file.strips_leading_space && bytes_.starts_with(' ')) {
            bytes_.erase(0, 1);
        }
    }
    std::size_t position = 0;
    while (position < bytes_.size()) {
        const Utf8Step step = read_utf8(bytes_, position);
        if (step.is_incomplete) {
            break;
        }
        text_ += step.is_valid ? std::string_view(bytes_).substr(position, step.length)
                               : replacement_text;
        position += step.length;
    }
    bytes_.erase(0, position);
}

std::string StreamDecoder::push(TokenId token) {
    if (special_ == SpecialTokens::skip && impl_->is_special(token)) {
        return {};
    }
    take(impl_->token_bytes(token));
    if (!bytes_.empty() || text_.ends_with(replacement_text)) {
        return {};
    }
    return std::exchange(text_, {});
}

std::string StreamDecoder::finish() {
    if (!bytes_.empty()) {
        text_ += replacement_text;
        bytes_.clear();
    }
    return std::exchange(text_, {});
}

}  // namespace anamnesis::language
