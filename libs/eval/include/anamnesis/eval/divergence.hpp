// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// Where two answers to one prompt part.
struct Divergence {
    std::size_t token = 0;  ///< tokens that they share before it
    std::string first{};    ///< the token there; empty where the answer has ended
    std::string second{};
};

/// The texts of a text's tokens; bytes that make no character read as U+FFFD.
std::vector<std::string> split_into_tokens(const language::Tokenizer& tokenizer,
                                           std::string_view text);

/// Nothing for equal answers.
std::optional<Divergence> find_divergence(std::span<const std::string> first,
                                          std::span<const std::string> second);

/// "token 4: ' 12' and ' 13'"
std::string to_text(const Divergence& divergence);

}  // namespace anamnesis::eval
