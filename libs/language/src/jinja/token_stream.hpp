// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lexer.hpp"

namespace anamnesis::language::jinja {

/// Tokens, one after the other.
class TokenStream {
public:
    explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    const Token& current() const { return tokens_[at_]; }
    const Token& look_ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    Token take();

    /// Where the stream is, for `uses_name`.
    std::size_t position() const { return at_; }
    /// True where the name itself, not an attribute of that name, was read since `begin`.
    bool uses_name(std::size_t begin, std::string_view name) const;

    bool is(TokenKind kind) const { return current().kind == kind; }
    bool is_mark(std::string_view mark) const {
        return is(TokenKind::mark) && current().value == mark;
    }
    bool is_name(std::string_view name) const {
        return is(TokenKind::name) && current().value == name;
    }
    bool skip_mark(std::string_view mark);
    bool skip_name(std::string_view name);

    /// Errors: `malformed` where the next token is another.
    void expect_mark(std::string_view mark);
    void expect_name(std::string_view name);
    void expect(TokenKind kind);
    std::string take_name();

    /// Errors: `malformed`, with the line.
    [[noreturn]] void fail(const std::string& what) const;
    /// Errors: `unsupported`, with the line.
    [[noreturn]] void refuse(const std::string& what) const;

private:
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
};

}  // namespace anamnesis::language::jinja
