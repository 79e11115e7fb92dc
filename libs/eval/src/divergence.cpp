// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/divergence.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

std::vector<std::string> split_into_tokens(const language::Tokenizer& tokenizer,
                                           std::string_view text) {
    std::vector<std::string> tokens;
    for (const language::TokenId id : tokenizer.encode(text)) {
        tokens.push_back(tokenizer.decode(std::span(&id, 1), language::SpecialTokens::keep));
    }
    return tokens;
}

std::optional<Divergence> find_divergence(std::span<const std::string> first,
                                          std::span<const std::string> second) {
    const auto [left, right] = std::ranges::mismatch(first, second);
    if (left == first.end() && right == second.end()) {
        return std::nullopt;
    }
    return Divergence{.token = static_cast<std::size_t>(left - first.begin()),
                      .first = left == first.end() ? std::string() : *left,
                      .second = right == second.end() ? std::string() : *right};
}

std::string to_text(const Divergence& divergence) {
    const auto name = [](const std::string& token) {
        return token.empty() ? std::string("the end") : in_quotes(token, 40);
    };
    return format(
        "token {}: {} and {}", divergence.token, name(divergence.first), name(divergence.second));
}

}  // namespace anamnesis::eval
