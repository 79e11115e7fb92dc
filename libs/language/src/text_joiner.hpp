// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// Which tokens lose `JoinRules::stripped` at their beginning, as SentencePiece decodes.
enum class TokenStripping : std::uint8_t {
    never,
    once,        ///< the first that has it, if there is no text before
    until_text,  ///< each with no text before
};

/// What a token adds to a text.
enum class TokenPart : std::uint8_t {
    text,
    byte,   ///< one byte
    fixed,  ///< a text that nothing is stripped from
};

/// How the texts of tokens become one text.
struct JoinRules {
    /// Runs of byte tokens that are no UTF-8 become one U+FFFD for each byte. Without it bytes of
    /// neighbouring tokens make characters, ill-formed parts one U+FFFD each.
    bool has_byte_runs = false;
    /// The characters in such runs are kept, and only bytes that belong to none become U+FFFD.
    bool keeps_characters_of_runs = false;
    TokenStripping strips_tokens = TokenStripping::never;
    std::string stripped{};          ///< left out at the beginning of the text,
    std::size_t most_stripped = 0;   ///< at most so often
    std::string dropped_in_first{};  ///< left out everywhere in the first token's text
};

/// Joins tokens one after the other; gives text out once it cannot change.
class TextJoiner {
public:
    explicit TextJoiner(const JoinRules& rules) : rules_(&rules) {}

    void add(std::string_view bytes, TokenPart part);
    /// The text that became certain since the last call: none while it ends inside a character, in
    /// U+FFFD or in a run of bytes.
    std::string take_certain();
    /// All that is left.
    std::string finish();

private:
    void append(std::string_view bytes);
    /// Drops what the rules strip from a token at the beginning of the text.
    std::string_view strip_token(std::string_view bytes);
    void end_run();

    const JoinRules* rules_;
    std::string text_{};   // whole characters not given out yet
    std::string bytes_{};  // the beginning of a character
    std::string run_{};    // bytes of byte tokens
    std::size_t stripped_ = 0;
    bool is_first_ = true;
    bool may_strip_token_ = true;
    bool is_at_start_ = true;
};

}  // namespace anamnesis::language
