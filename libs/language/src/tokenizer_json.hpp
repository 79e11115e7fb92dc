// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::language {

/// The bulk of a tokenizer, without a tree: texts lie one after the other.
struct BulkTexts {
    std::string texts{};
    std::vector<std::uint32_t> ends{};

    void add(std::string_view text);
    std::size_t size() const { return ends.size(); }
    std::string_view at(std::size_t i) const {
        const std::uint32_t begin = i == 0 ? 0 : ends[i - 1];
        return std::string_view(texts).substr(begin, ends[i] - begin);
    }
};

struct TokenizerJson {
    Json rest;  ///< everything but model.vocab and model.merges
    BulkTexts tokens;
    std::vector<std::uint64_t> ids;
    BulkTexts merges;  ///< left, right, left, right…
};

/// Errors: `malformed`.
TokenizerJson read_tokenizer_json(std::string_view json);

/// `{"token": id, …}`, as vocab.json holds it.
TokenizerJson read_vocab_json(std::string_view json);

/// "a b" into its two parts. Errors: `malformed`.
void add_merge(BulkTexts& merges, std::string_view line);

}  // namespace anamnesis::language
