// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace anamnesis::eval {

/// One question of a benchmark, with what is known of its answer.
struct Sample {
    std::string task{};                    ///< "niah_single_2"
    std::size_t length = 0;                ///< the context it was made for, in tokens
    std::size_t index = 0;                 ///< among the samples of its task and length
    std::optional<std::uint32_t> depth{};  ///< of the first needle asked for, percent

    std::string input{};
    std::string answer_prefix{};  ///< the beginning of the answer, given to the model
    std::vector<std::string> references{};
    std::vector<std::string> distractors{};  ///< values that were hidden, but not asked for

    std::size_t prompt_tokens = 0;  ///< of input and prefix, without a BOS
    /// Code points of `input` before the first answer, and tokens before it.
    std::size_t answer_offset = 0;
    std::size_t tokens_before_answer = 0;

    std::string prompt() const { return input + answer_prefix; }
};

}  // namespace anamnesis::eval
