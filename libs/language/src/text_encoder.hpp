// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "added_tokens.hpp"
#include "piece_cache.hpp"
#include "piece_model.hpp"
#include "pre_tokenizer.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// Text to tokens, as a tokenizer's file says.
///
/// Owner: the file must outlive it.
/// Threads: all const functions may run at once.
class TextEncoder {
public:
    explicit TextEncoder(const TokenizerFile& file);

    std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;

    /// Where the tokens of bytes are, -1 for none.
    const ByteTokens& byte_tokens() const { return byte_tokens_; }
    /// All stages of the pre-tokenizer are known by their expressions.
    bool has_known_stages() const { return splitter_.is_known(); }

private:
    struct Run;

    std::unique_ptr<PieceModel> make_model() const;
    bool is_cut_at_marks() const;
    bool needs_copy(std::string_view text) const;
    void encode_segment(const TextPiece& segment, Run& run) const;
    void encode_normalised(const TextPiece& text, Run& run) const;
    void encode_plain(const TextPiece& text, Run& run) const;
    void encode_cut_at_marks(std::string_view piece, Run& run) const;
    void encode_piece(std::string_view piece, Run& run) const;

    const TokenizerFile& file_;
    PreTokenizer splitter_{};
    ByteTokens byte_tokens_{};
    std::unique_ptr<PieceModel> model_{};
    AddedTokenFinder finder_{};
    AddedTokenFinder finder_in_normalised_{};
    AddedTokenFinder unmerged_finder_{};
    bool cuts_at_marks_ = false;
};

}  // namespace anamnesis::language
