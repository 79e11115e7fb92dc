// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {

/// Turns tokens into text and watches for stop strings. Held back is what may still become part of
/// a stop string, and the beginning of a character.
///
/// Owner: the tokenizer must outlive it; it may move.
class TextStream {
public:
    /// The text goes on with that of `before`, of which nothing is given out: a tokenizer that
    /// leaves out the first space of a text then leaves out none. Errors: `usage` for an empty stop
    /// string.
    explicit TextStream(const Tokenizer& tokenizer,
                        std::vector<std::string> stop = {},
                        std::span<const TokenId> before = {});

    /// Reads a token and gives the text that became certain. Must not be called once stopped.
    std::string push(TokenId token);

    /// The text that was held back. Empty once stopped.
    std::string finish();

    /// A stop string was completed; the text ends before it.
    bool is_stopped() const { return is_stopped_; }
    /// Which one; empty while none is.
    const std::string& found_stop() const& { return found_stop_; }
    const std::string& found_stop() const&& = delete;

    /// How many of the pushed tokens, from the first, are part of the text: all, or once stopped
    /// those that begin before the stop string.
    std::size_t tokens_in_text() const;

    /// How many of them lie in the text given out so far, whatever comes: without stop strings all.
    std::size_t certain_tokens() const;

    /// All text given out so far.
    const std::string& text() const& { return text_; }
    const std::string& text() const&& = delete;

private:
    std::string take(const std::string& piece);

    StreamDecoder decoder_;
    std::vector<std::string> stop_;
    std::string text_;
    std::string held_;
    std::vector<std::size_t> begins_;  // bytes of text that were decoded before each token
    std::size_t decoded_ = 0;
    bool is_stopped_ = false;
    std::string found_stop_;
};

}  // namespace anamnesis::language
