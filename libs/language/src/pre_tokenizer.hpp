// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "split_stage.hpp"

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
/// Of tiktoken's dialect. Source: tokenization_kimi.py.
constexpr std::string_view kimi =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}  // namespace patterns

using TakePiece = std::function<void(std::string_view)>;

/// A piece of text, and whether it is at the beginning of the whole text.
struct TextPiece {
    std::string_view text;
    bool begins_text = false;
};

/// Cuts text into pieces.
///
/// Threads: `split` may run in several at once.
class Splitter {
public:
    virtual ~Splitter() = default;
    /// Errors: `exhausted` where an expression needs more steps than it is given.
    virtual void split(const TextPiece& piece, const TakePiece& take) const = 0;
};

/// A stretch of text that an expression matches, maybe an empty one, or that lies between two.
using TakeMatch = std::function<void(std::string_view text, bool is_match)>;

/// An expression of either dialect, by PCRE2.
class Expression {
public:
    /// Errors: `unsupported` for an expression that cannot be said in PCRE2's.
    explicit Expression(std::string_view pattern, Dialect dialect = Dialect::oniguruma);
    Expression(Expression&&) noexcept;
    Expression& operator=(Expression&&) noexcept;
    Expression(const Expression&) = delete;
    Expression& operator=(const Expression&) = delete;
    ~Expression();

    /// Errors: `exhausted` where it needs more steps than it is given.
    void match(std::string_view text, const TakeMatch& take) const;

private:
    struct Code;
    std::unique_ptr<Code> code_;
};

/// A hand-written twin of one of `patterns`, or null for any other expression.
std::unique_ptr<Splitter> make_known_splitter(std::string_view pattern);

/// The matches of `stage.pattern`, by its behaviour.   Errors: those of `Expression`.
std::unique_ptr<Splitter> make_pattern_splitter(const SplitStage& stage);

/// Any other stage, or one that comes after the bytes were spelled.
std::unique_ptr<Splitter> make_metaspace_splitter(const SplitStage& stage);
std::unique_ptr<Splitter> make_prefixing_splitter();
std::unique_ptr<Splitter> make_spelled_splitter(std::unique_ptr<Splitter> inner);

/// One splitter after the other, each on the pieces of the one before.
class PreTokenizer {
public:
    void add(const SplitStage& stage);
    /// There are stages, and all are twins of `patterns`.
    bool is_known() const { return !stages_.empty() && is_known_; }
    void split(const TextPiece& piece, const TakePiece& take) const { split_from(0, piece, take); }

private:
    void split_from(std::size_t stage, const TextPiece& piece, const TakePiece& take) const;

    std::vector<std::unique_ptr<Splitter>> stages_;
    bool is_known_ = true;
    bool is_spelled_ = false;
};

}  // namespace anamnesis::language
