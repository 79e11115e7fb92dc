// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// How the texts of tokens become one text.
struct JoinRules {
    /// Runs of byte tokens that are no UTF-8 become one U+FFFD for each byte. Without it bytes of
    /// neighbouring tokens make characters, ill-formed parts one U+FFFD each.
    bool has_byte_runs = false;
    std::string stripped{};          ///< left out at the beginning of the text,
    std::size_t most_stripped = 0;   ///< at most so often
    std::string dropped_in_first{};  ///< left out everywhere in the first token's text
};

/// Joins tokens one after the other; gives text out once it cannot change.
class TextJoiner {
public:
    explicit TextJoiner(const JoinRules& rules) : rules_(&rules) {}

    /// `is_byte`: the token stands for one byte.
    void add(std::string_view bytes, bool is_byte);
    /// The text that became certain since the last call: none while it ends inside a character, in
    /// U+FFFD or in a run of bytes.
    std::string take_certain();
    /// All that is left.
    std::string finish();

private:
    void append(std::string_view bytes);
    void end_run();

    const JoinRules* rules_;
    std::string text_{};   // whole characters not given out yet
    std::string bytes_{};  // the beginning of a character
    std::string run_{};    // bytes of byte tokens
    std::size_t stripped_ = 0;
    bool is_first_ = true;
    bool is_at_start_ = true;
};

}  // namespace anamnesis::language
