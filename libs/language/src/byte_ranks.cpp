// SPDX-License-Identifier: Apache-2.0
#include "byte_ranks.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "byte_alphabet.hpp"
#include "piece_merges.hpp"

namespace anamnesis::language {
namespace {

constexpr std::size_t longest_token = 1000;
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> base64_values = [] {
    std::array<std::int8_t, 256> table{};
    table.fill(-1);
    for (std::size_t i = 0; i < base64_digits.size(); ++i) {
        table[static_cast<unsigned char>(base64_digits[i])] = static_cast<std::int8_t>(i);
    }
    return table;
}();

}  // namespace

std::string decode_base64(std::string_view text) {
    const auto refuse = [&] {
        throw Error(ErrorKind::malformed, format("{} is no base64", in_quotes(text)));
    };
    if (text.size() % 4 != 0) {
        refuse();
    }
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    const std::string_view digits = text.substr(0, text.size() - padding);
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char digit : digits) {
        const int value = base64_values[static_cast<unsigned char>(digit)];
        if (value < 0) {
            refuse();
        }
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<char>((bits >> count) & 0xFFU));
        }
    }
    return bytes;
}

void take_ranked_bytes(TokenizerFile& file,
                       const std::vector<RankedBytes>& tokens,
                       std::uint64_t shift) {
    file.vocabulary.reserve(tokens.size() + 1024, 16 * tokens.size());
    std::vector<RankedPiece> pieces;
    pieces.reserve(tokens.size());
    for (const RankedBytes& token : tokens) {
        if (token.bytes.empty() || token.rank > std::numeric_limits<std::int32_t>::max()) {
            throw Error(ErrorKind::malformed,
                        format("the token of rank {} is empty or has no such rank", token.rank));
        }
        if (token.bytes.size() > longest_token) {
            throw Error(ErrorKind::unsupported,
                        format("the token of rank {} has {} bytes, at most {} are taken",
                               token.rank,
                               token.bytes.size(),
                               longest_token));
        }
        file.vocabulary.add(spell_bytes(token.bytes), token.rank + shift);
        pieces.push_back({.token = static_cast<TokenId>(token.rank + shift),
                          .rank = static_cast<std::uint32_t>(token.rank)});
    }
    std::vector<bool> halves(file.vocabulary.id_limit());
    for (const RankedPiece& piece : pieces) {
        halves[static_cast<std::size_t>(piece.token)] = true;
    }
    file.merges = make_piece_merges(file.vocabulary, pieces, halves);
    file.byte_pair = {.is_byte_level = true, .ignores_merges = true};
}

void cut_by_expression(TokenizerFile& file, std::string_view pattern) {
    file.stages.push_back({.pattern = std::string(pattern), .dialect = Dialect::rust});
    file.stages.push_back({.kind = SplitStage::Kind::spell_bytes});
}

}  // namespace anamnesis::language
