// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// A token of tiktoken's kind of vocabulary.
struct RankedBytes {
    std::string bytes{};
    std::uint64_t rank = 0;  ///< the lowest is merged first
};

/// The bytes that a text of base64 writes (RFC 4648, padded). Errors: `malformed`.
std::string decode_base64(std::string_view text);

/// Takes byte-level tokens: the id of each is its rank plus `shift`. Two neighbours that make a
/// token become it, the token of lowest rank first; a piece that is a token is that token.
///
/// Errors: `malformed` for a token that is empty or there twice, `unsupported` for one of more than
/// 1,000 bytes.
/// Source: tiktoken 0.14, src/lib.rs.
void take_ranked_bytes(TokenizerFile& file,
                       const std::vector<RankedBytes>& tokens,
                       std::uint64_t shift);

/// Cuts text by an expression before its bytes are merged.
void cut_by_expression(TokenizerFile& file, std::string_view pattern);

}  // namespace anamnesis::language
