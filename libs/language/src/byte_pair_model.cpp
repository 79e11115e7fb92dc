// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "piece_model.hpp"

namespace anamnesis::language {
namespace {

/// Source: tokenizers 0.23, models/bpe/model.rs.
class BytePairModel final : public PieceModel {
public:
    BytePairModel(const Vocabulary& vocabulary,
                  const BytePairMerges& merges,
                  const ByteTokens& bytes,
                  const BytePairOptions& options)
        : vocabulary_(vocabulary), merges_(merges), bytes_(bytes), options_(options) {}

    void encode(std::string_view piece,
                std::vector<TokenId>& scratch,
                std::vector<TokenId>& result) const override {
        if (options_.ignores_merges) {
            const auto whole =
                vocabulary_.find(options_.is_byte_level ? spell_bytes(piece) : std::string(piece));
            if (whole) {
                result.push_back(*whole);
                return;
            }
        }
        scratch.clear();
        if (options_.is_byte_level) {
            for (const char byte : piece) {
                scratch.push_back(find_byte(static_cast<unsigned char>(byte)));
            }
        } else {
            spell_characters(piece, scratch);
        }
        merges_.apply(scratch);
        result.insert(result.end(), scratch.begin(), scratch.end());
    }

private:
    /// The reference leaves a byte without a token out of the text.
    TokenId find_byte(unsigned char byte) const {
        if (bytes_[byte] >= 0) {
            return bytes_[byte];
        }
        if (options_.unknown >= 0) {
            return options_.unknown;
        }
        throw Error(ErrorKind::mismatch,
                    format("the tokenizer has no token for byte 0x{:02X} of the text, which would "
                           "be lost: take it out of the text",
                           byte));
    }

    void spell_characters(std::string_view piece, std::vector<TokenId>& symbols) const {
        // As in the reference an unknown is put down when the next known character comes: bytes
        // that stand for a character in between go before it.
        bool has_unknown = false;
        const auto end_unknown = [&] {
            if (std::exchange(has_unknown, false)) {
                symbols.push_back(options_.unknown);
            }
        };
        for (std::size_t position = 0; position < piece.size();) {
            const std::size_t begin = position;
            static_cast<void>(next_character(piece, position));
            const std::string_view character = piece.substr(begin, position - begin);
            if (const auto id = vocabulary_.find(character)) {
                end_unknown();
                symbols.push_back(*id);
            } else if (options_.falls_back && has_bytes(character)) {
                for (const char byte : character) {
                    symbols.push_back(bytes_[static_cast<unsigned char>(byte)]);
                }
            } else if (options_.unknown >= 0) {
                if (!options_.fuses_unknown) {
                    end_unknown();
                }
                has_unknown = true;
            }
        }
        end_unknown();
    }

    bool has_bytes(std::string_view character) const {
        for (const char byte : character) {
            if (bytes_[static_cast<unsigned char>(byte)] < 0) {
                return false;
            }
        }
        return true;
    }

    const Vocabulary& vocabulary_;
    const BytePairMerges& merges_;
    const ByteTokens& bytes_;
    BytePairOptions options_;
};

class WordModel final : public PieceModel {
public:
    WordModel(const Vocabulary& vocabulary, TokenId unknown)
        : vocabulary_(vocabulary), unknown_(unknown) {}

    void encode(std::string_view piece,
                std::vector<TokenId>& /*scratch*/,
                std::vector<TokenId>& result) const override {
        result.push_back(vocabulary_.find(piece).value_or(unknown_));
    }

private:
    const Vocabulary& vocabulary_;
    TokenId unknown_;
};

}  // namespace

std::unique_ptr<PieceModel> make_byte_pair_model(const Vocabulary& vocabulary,
                                                 const BytePairMerges& merges,
                                                 const ByteTokens& bytes,
                                                 const BytePairOptions& options) {
    return std::make_unique<BytePairModel>(vocabulary, merges, bytes, options);
}

std::unique_ptr<PieceModel> make_word_model(const Vocabulary& vocabulary, TokenId unknown) {
    return std::make_unique<WordModel>(vocabulary, unknown);
}

}  // namespace anamnesis::language
