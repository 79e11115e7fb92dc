// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

class TextJoiner;

/// How special tokens written out in a text are read. Added tokens that are not special are found
/// either way.
enum class SpecialText : std::uint8_t { recognise, plain };

/// Whether special tokens appear in decoded text.
enum class SpecialTokens : std::uint8_t { skip, keep };

struct EncodeOptions {
    SpecialText special_text = SpecialText::recognise;
    bool adds_special = false;  ///< put the template's tokens (a BOS, say) around the text
};

/// Text to tokens and back, for tokenizers as Hugging Face stores them:
///
///  1. added tokens are found in the text, the longest at the leftmost place;
///  2. what lies between is normalised (NFC, replacements, …);
///  3. expressions and other rules cut it into pieces;
///  4. each piece becomes tokens: by merging the pairs of lowest rank (BPE, in bytes or
///  characters),
///     by the most probable cut (Unigram), or as a whole (WordLevel).
///
/// Bytes that are no UTF-8 are read as U+FFFD, one for each maximal ill-formed part.
///
/// Threads: all const functions may run at once.
/// Source:  tokenizers 0.23, `tokenizer.json` version 1.0; sentencepiece 0.2.3; tiktoken 0.14;
///          mistral_common 1.13.
class Tokenizer {
public:
    /// Reads the tokenizer of a folder: `tokenizer.json`, else `vocab.json` and `merges.txt`, else
    /// `tekken.json`, `tokenizer.model` (SentencePiece, or tiktoken's lines), `tiktoken.model` or
    /// `qwen.tiktoken`, these with what `tokenizer_config.json` and `added_tokens.json` say of
    /// them; or one such file; or the tokenizer within a .gguf file.
    ///
    /// Errors: `unsupported` for another kind of tokenizer, `malformed` for a broken one; both name
    ///         the file and the feature or the entry. `not_found` for a folder without one.
    static Tokenizer open(const std::filesystem::path& folder_or_file);

    /// Whether there is a file that `open` would read.
    static bool is_in(const std::filesystem::path& folder_or_file);

    /// From the bytes of a tokenizer.model, tiktoken.model or tekken.json, with the object of
    /// tokenizer_config.json; `name` is what errors call it.   Errors: those of `open`.
    static Tokenizer read_model(std::string_view bytes,
                                const Json& config = Json::object(),
                                std::string_view name = "tokenizer.model");

    /// From the text of a tokenizer.json; `name` is what errors call it.
    static Tokenizer read(std::string_view json, std::string_view name = "tokenizer.json");

    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;
    ~Tokenizer();

    /// Cost: O(n log n) at worst, also for a megabyte of one letter.
    std::vector<TokenId> encode(std::string_view text,
                                SpecialText treatment = SpecialText::recognise) const;
    std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;

    /// The text of `tokens`. Ids outside the vocabulary are left out; bytes that make no character
    /// read as U+FFFD.
    std::string decode(std::span<const TokenId> tokens,
                       SpecialTokens special = SpecialTokens::skip) const;

    /// The id of a token as the file spells it ("Ġthe", "<|im_end|>").
    std::optional<TokenId> find(std::string_view token) const;

    /// The token as the file spells it; nothing outside the vocabulary.
    std::optional<std::string_view> find_text(TokenId token) const&;
    std::optional<std::string_view> find_text(TokenId token) const&& = delete;

    /// One more than the highest id. A model's embedding may have more rows.
    std::size_t vocabulary_size() const;

    bool is_special(TokenId token) const;

    /// What stands for text that has no token ("<unk>"); nothing where every text has tokens, or
    /// what has none is refused or left out.
    std::optional<TokenId> unknown_token() const;

    /// What may surprise: bytes that have no token, and get lost.
    std::vector<std::string> list_notes() const;

    /// True where text may be cut before any single space between two other characters: the tokens
    /// of the parts are then those of the whole. Known of the families' own expressions; false
    /// where it is not known.
    bool cuts_before_spaces() const;

    /// The bytes that `token` adds to a text; empty outside the vocabulary.
    std::string_view token_bytes(TokenId token) const&;
    std::string_view token_bytes(TokenId token) const&& = delete;

private:
    friend class StreamDecoder;
    struct Impl;
    explicit Tokenizer(std::unique_ptr<const Impl> impl);

    std::unique_ptr<const Impl> impl_;
};

/// Decodes one token at a time. Text is given out once it cannot change: while the bytes so far end
/// inside a character, or in U+FFFD, nothing is.
///
/// Owner: the tokenizer must outlive it; it may move.
class StreamDecoder {
public:
    explicit StreamDecoder(const Tokenizer& tokenizer, SpecialTokens special = SpecialTokens::skip);
    StreamDecoder(StreamDecoder&&) noexcept;
    StreamDecoder& operator=(StreamDecoder&&) noexcept;
    StreamDecoder(const StreamDecoder&) = delete;
    StreamDecoder& operator=(const StreamDecoder&) = delete;
    ~StreamDecoder();

    /// The text that became certain; often empty.
    std::string push(TokenId token);

    /// What was held back, an unfinished character as U+FFFD. All pieces together are what
    /// `Tokenizer::decode` gives.
    std::string finish();

private:
    const Tokenizer::Impl* impl_;
    SpecialTokens special_;
    std::unique_ptr<TextJoiner> joiner_;
};

}  // namespace anamnesis::language
