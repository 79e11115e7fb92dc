// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/tokenizer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
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
#include "gguf_tokenizer.hpp"
#include "piece_cache.hpp"
#include "piece_model.hpp"
#include "pre_tokenizer.hpp"
#include "rewrites.hpp"
#include "text_joiner.hpp"
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

}  // namespace

struct Tokenizer::Impl {
    explicit Impl(TokenizerFile source) : file(std::move(source)) {
        for (const SplitStage& stage : file.stages) {
            splitter.add(stage);
        }
        special.resize(file.vocabulary.id_limit());
        for (const AddedToken& token : file.added) {
            special[static_cast<std::size_t>(token.id)] = token.is_special;
            if (token.is_normalised && !file.normaliser.empty()) {
                AddedToken form = token;
                form.content = apply_rewrites(token.content, file.normaliser);
                finder_in_normalised.add(form);
                normalised_forms.emplace(token.id, form.content);
            } else {
                finder.add(token);
            }
        }
        for (std::size_t byte = 0; byte < byte_tokens.size(); ++byte) {
            std::string spelling;
            if (is_byte_level()) {
                append_utf8(spelling, character_of_byte(static_cast<unsigned char>(byte)));
            } else {
                spelling = format("<0x{:02X}>", byte);
            }
            byte_tokens[byte] = file.vocabulary.find(spelling).value_or(-1);
        }
        model = make_model();
        fill_bytes();
    }

    bool is_byte_level() const {
        return file.model == ModelKind::byte_pair && file.byte_pair.is_byte_level;
    }

    std::unique_ptr<PieceModel> make_model() const {
        switch (file.model) {
            case ModelKind::word_level:
                return make_word_model(file.vocabulary, file.unknown);
            case ModelKind::unigram:
                return make_unigram_model(file.vocabulary, byte_tokens, file.unigram);
            case ModelKind::byte_pair:
                break;
        }
        return make_byte_pair_model(file.vocabulary, file.merges, byte_tokens, file.byte_pair);
    }

    /// What a token adds to a text; a token that is looked for in normalised text adds that form.
    std::string read_token(TokenId id, std::string_view text) const {
        if (is_byte_level()) {
            const auto spelled = find_spelled_bytes(text);
            return spelled ? *spelled : std::string(text);
        }
        if (const auto form = normalised_forms.find(id); form != normalised_forms.end()) {
            text = form->second;
        }
        if (const auto byte = find_byte(text); byte && file.joining.has_byte_runs) {
            return std::string(1, static_cast<char>(*byte));
        }
        return (file.joins_with_spaces ? " " : "") + apply_rewrites(text, file.token_rewrites);
    }

    void fill_bytes() {
        ends.reserve(file.vocabulary.id_limit());
        is_byte.resize(file.vocabulary.id_limit());
        for (std::size_t id = 0; id < file.vocabulary.id_limit(); ++id) {
            const auto token = static_cast<TokenId>(id);
            if (const auto text = file.vocabulary.find_text(token)) {
                bytes += read_token(token, *text);
                is_byte[id] = file.joining.has_byte_runs && find_byte(*text).has_value();
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

    /// Adds a token to a text, unless it is left out.
    void join(TextJoiner& joiner, TokenId token, SpecialTokens treatment) const {
        const bool is_known = token >= 0 && static_cast<std::size_t>(token) < ends.size();
        if (is_known && (treatment == SpecialTokens::keep || !is_special(token))) {
            joiner.add(token_bytes(token), is_byte[static_cast<std::size_t>(token)]);
        }
    }

    /// Text without added tokens, normalised. A cached piece must stay in place until the cache
    /// forgets it.
    void encode_plain(const TextPiece& text,
                      PieceCache& cache,
                      std::vector<TokenId>& symbols,
                      std::vector<TokenId>& result) const {
        constexpr std::size_t longest_kept = 64;
        const bool may_keep = splitter.keeps_text();
        splitter.split(text, [&](std::string_view piece) {
            if (!may_keep || piece.size() > longest_kept) {
                model->encode(piece, symbols, result);
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
            model->encode(piece, symbols, result);
            place = {.hash = hash, .piece = piece, .begin = begin, .count = result.size() - begin};
        });
    }

    bool needs_copy(std::string_view text) const {
        // What is ASCII is its own NFC form.
        return std::ranges::any_of(
                   file.normaliser,
                   [](const Rewrite& step) { return step.kind != Rewrite::Kind::nfc; }) ||
               (!file.normaliser.empty() && std::ranges::any_of(text, [](char c) {
                   return static_cast<unsigned char>(c) >= 0x80;
               }));
    }

    /// A stretch between added tokens of the text as it was given.
    void encode_segment(const TextPiece& segment,
                        bool leaves_special,
                        PieceCache& cache,
                        std::vector<TokenId>& result) const {
        std::vector<TokenId> symbols;
        const auto encode_in = [&](std::string_view form, PieceCache& pieces) {
            finder_in_normalised.split(
                form, leaves_special, [&](std::string_view part, TokenId found) {
                    if (found >= 0) {
                        result.push_back(found);
                        return;
                    }
                    const bool begins = segment.begins_text && part.data() == form.data();
                    encode_plain({.text = part, .begins_text = begins}, pieces, symbols, result);
                });
        };
        if (!needs_copy(segment.text)) {
            encode_in(segment.text, cache);
            return;
        }
        const std::string form = apply_rewrites(segment.text, file.normaliser);
        PieceCache own(form.size());
        encode_in(form, own);
    }

    std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const {
        std::vector<TokenId> result;
        PieceCache cache(text.size());
        if (options.adds_special) {
            result = file.before;
        }
        const bool leaves_special = options.special_text == SpecialText::plain;
        const std::string repaired = is_utf8(text) ? std::string() : replace_ill_formed(text);
        const std::string_view whole = repaired.empty() ? text : std::string_view(repaired);
        finder.split(whole, leaves_special, [&](std::string_view segment, TokenId token) {
            if (token >= 0) {
                result.push_back(token);
                return;
            }
            const bool begins = segment.data() == whole.data();
            encode_segment({.text = segment, .begins_text = begins}, leaves_special, cache, result);
        });
        if (options.adds_special) {
            result.insert(result.end(), file.after.begin(), file.after.end());
        }
        return result;
    }

    TokenizerFile file;
    PreTokenizer splitter;
    std::unique_ptr<PieceModel> model;
    AddedTokenFinder finder;
    AddedTokenFinder finder_in_normalised;
    std::map<TokenId, std::string> normalised_forms;
    std::vector<bool> special;
    std::vector<bool> is_byte;
    ByteTokens byte_tokens{};
    std::string bytes;  // of all tokens, one after the other
    std::vector<std::size_t> ends;
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::open(const std::filesystem::path& folder_or_file) {
    if (folder_or_file.extension() == ".gguf") {
        return Tokenizer(std::make_unique<const Impl>(read_gguf_tokenizer(folder_or_file)));
    }
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
    TextJoiner joiner(impl_->file.joining);
    for (const TokenId token : tokens) {
        impl_->join(joiner, token, special);
    }
    return joiner.finish();
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
    return impl_->file.vocabulary.find(token);
}

bool Tokenizer::cuts_before_spaces() const {
    const TokenizerFile& file = impl_->file;
    return impl_->is_byte_level() && impl_->splitter.is_known() &&
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

std::vector<std::string> Tokenizer::list_notes() const {
    const auto is_missing = [&](std::size_t byte) {
        const bool never_occurs = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
        return impl_->byte_tokens[byte] < 0 && !never_occurs;
    };
    std::vector<std::string> missing;
    for (std::size_t byte = 0; byte < impl_->byte_tokens.size(); ++byte) {
        if (is_missing(byte)) {
            missing.push_back(format("0x{:02X}", byte));
        }
    }
    const TokenizerFile& file = impl_->file;
    const bool loses_them =
        impl_->is_byte_level() || (file.byte_pair.falls_back && file.byte_pair.unknown < 0);
    if (missing.empty() || file.model != ModelKind::byte_pair || !loses_them) {
        return {};
    }
    const std::size_t count = missing.size();
    missing.resize(std::min<std::size_t>(count, 3));
    return {
        format("the vocabulary has no token for {} of the 256 bytes ({}{}): they are left out of "
               "what is encoded, as the reference does",
               count,
               anamnesis::join(missing, ", "),
               count > 3 ? ", …" : "")};
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, SpecialTokens special)
    : impl_(tokenizer.impl_.get()),
      special_(special),
      joiner_(std::make_unique<TextJoiner>(impl_->file.joining)) {}

StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(TokenId token) {
    impl_->join(*joiner_, token, special_);
    return joiner_->take_certain();
}

std::string StreamDecoder::finish() {
    return joiner_->finish();
}

}  // namespace anamnesis::language
