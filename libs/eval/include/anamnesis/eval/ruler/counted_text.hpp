// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval {

/// How prompts are measured: the number of tokens of a text, without a BOS.
struct TokenCounter {
    std::function<std::size_t(std::string_view)> count;
    /// Text may be cut before single spaces (language::Tokenizer::cuts_before_spaces): then parts
    /// that repeat are counted once.
    bool cuts_before_spaces = false;
};

/// A long text of which many prompts take parts: tokens are counted once, at every place where the
/// text may be cut.
class CountedText {
public:
    explicit CountedText(std::string text, const TokenCounter& counter);

    std::string_view text() const& { return text_; }
    std::string_view text() const&& = delete;

    /// A part whose tokens are known: from one cut to another.
    struct Part {
        std::size_t begin = 0;
        std::size_t end = 0;
        std::size_t tokens = 0;
    };
    /// The longest within [begin, end); empty where there is none.
    Part counted_within(std::size_t begin, std::size_t end) const;

private:
    std::string text_;
    std::vector<std::uint32_t> cuts_;    // bytes
    std::vector<std::uint32_t> tokens_;  // between the first cut and each
};

/// One part of a prompt: a range of a counted text, or a text of its own.
struct PromptPart {
    std::string_view text;
    const CountedText* whole = nullptr;  ///< `text` lies in it
};

/// Tokens of the parts put together; the same as of the text at once.
std::size_t count_tokens(std::span<const PromptPart> parts, const TokenCounter& counter);

}  // namespace anamnesis::eval
