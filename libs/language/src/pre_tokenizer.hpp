// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

namespace patterns {
constexpr std::string_view gpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen3_5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}  // namespace patterns

using TakePiece = std::function<void(std::string_view)>;

/// Cuts text into the matches of one expression and what lies between them.
///
/// Threads: `split` may run in several at once.
class Splitter {
public:
    virtual ~Splitter() = default;
    /// Errors: `exhausted` where the expression needs more steps than it is given.
    virtual void split(std::string_view text, const TakePiece& take) const = 0;
};

/// Any expression, by PCRE2; `\s` means White_Space as in the reference.
/// Errors: `unsupported` for an expression that PCRE2 does not take.
std::unique_ptr<Splitter> make_pattern_splitter(std::string_view pattern);

/// A hand-written twin of one of `patterns`, or null for any other expression.
std::unique_ptr<Splitter> make_known_splitter(std::string_view pattern);

/// One splitter after the other, each on the pieces of the one before.
class PreTokenizer {
public:
    void add(std::string_view pattern);
    /// There are stages, and all are twins of `patterns`.
    bool is_known() const { return !stages_.empty() && is_known_; }
    void split(std::string_view text, const TakePiece& take) const { split_from(0, text, take); }

private:
    void split_from(std::size_t stage, std::string_view text, const TakePiece& take) const;

    std::vector<std::unique_ptr<Splitter>> stages_;
    bool is_known_ = true;
};

}  // namespace anamnesis::language
