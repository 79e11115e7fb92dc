// SPDX-License-Identifier: Apache-2.0
#include "http/token_names.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::serve {
namespace {

std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// What stands for a token among others: what it adds to the text, or its name where that is
/// nothing, as of special tokens and of the first bytes of a character.
std::string show_token(const language::Tokenizer& tokenizer,
                       TokenId token,
                       const std::string& piece) {
    return piece.empty() ? name_token(tokenizer, token) : piece;
}

/// The alternatives by their names. The token itself is always among them, as OpenAI has it, by
/// what stands for it; by its own name where that is another's.
Json name_alternatives(const language::Tokenizer& tokenizer,
                       const ScoredToken& scored,
                       const std::string& shown) {
    Json names = Json::object();
    for (const auto& [token, logprob] : scored.alternatives) {
        std::string name = name_token(tokenizer, token);
        if (token != scored.token && names.find(name) == nullptr) {
            names.set(std::move(name), logprob);
        }
    }
    const std::string own =
        names.find(shown) == nullptr ? shown : name_token(tokenizer, scored.token);
    if (names.find(own) == nullptr) {
        names.set(own, scored.logprob);
    }
    return names;
}

Json make_entry(const language::Tokenizer& tokenizer, TokenId token, double logprob) {
    const std::string_view text = tokenizer.token_bytes(token);
    Json bytes = Json::array();
    for (const char c : text) {
        bytes.push_back(std::uint64_t{static_cast<unsigned char>(c)});
    }
    return Json::Object{{"token", language::replace_ill_formed(text)},
                        {"id", std::int64_t{token}},
                        {"logprob", logprob},
                        {"bytes", std::move(bytes)}};
}

}  // namespace

std::string name_token(const language::Tokenizer& tokenizer, TokenId token) {
    const std::string_view bytes = tokenizer.token_bytes(token);
    if (language::is_utf8(bytes)) {
        return std::string(bytes);
    }
    std::string name = "bytes:";
    for (const char c : bytes) {
        name += format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return name;
}

Json make_logprob_columns(const language::Tokenizer& tokenizer,
                          std::span<const std::string> pieces,
                          std::optional<TokenId> first,
                          std::span<const ScoredToken> tokens,
                          std::size_t& offset) {
    Json names = Json::array();
    Json logprobs = Json::array();
    Json alternatives = Json::array();
    Json offsets = Json::array();
    bool has_alternatives = false;
    const auto add_row = [&](const std::string& piece, TokenId token) {
        std::string shown = show_token(tokenizer, token, piece);
        names.push_back(shown);
        offsets.push_back(std::uint64_t{offset});
        offset += count_characters(piece);
        return shown;
    };
    std::size_t row = 0;
    if (first) {
        static_cast<void>(add_row(pieces[row++], *first));
        logprobs.push_back(Json());
        alternatives.push_back(Json());
    }
    for (const ScoredToken& scored : tokens) {
        const std::string shown = add_row(pieces[row++], scored.token);
        logprobs.push_back(scored.logprob);
        has_alternatives = has_alternatives || !scored.alternatives.empty();
        alternatives.push_back(name_alternatives(tokenizer, scored, shown));
    }
    return Json::Object{{"tokens", std::move(names)},
                        {"token_logprobs", std::move(logprobs)},
                        {"top_logprobs", has_alternatives ? std::move(alternatives) : Json()},
                        {"text_offset", std::move(offsets)}};
}

Json make_logprob_entries(const language::Tokenizer& tokenizer,
                          std::span<const ScoredToken> tokens) {
    Json content = Json::array();
    for (const ScoredToken& scored : tokens) {
        Json entry = make_entry(tokenizer, scored.token, scored.logprob);
        Json top = Json::array();
        for (const auto& [token, logprob] : scored.alternatives) {
            top.push_back(make_entry(tokenizer, token, logprob));
        }
        entry.set("top_logprobs", std::move(top));
        content.push_back(std::move(entry));
    }
    return Json::Object{{"content", std::move(content)}, {"refusal", Json()}};
}

}  // namespace anamnesis::serve
