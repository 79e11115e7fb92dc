// SPDX-License-Identifier: Apache-2.0
#include "token_stream.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "lexer.hpp"

namespace anamnesis::language::jinja {
namespace {

std::string describe(const Token& token) {
    switch (token.kind) {
        case TokenKind::data:
        case TokenKind::end:
            return "the end of the template";
        case TokenKind::variable_begin:
            return "'{{'";
        case TokenKind::variable_end:
            return "'}}'";
        case TokenKind::block_begin:
            return "'{%'";
        case TokenKind::block_end:
            return "'%}'";
        case TokenKind::text:
            return format("the string {}", in_quotes(token.value, 40));
        case TokenKind::name:
        case TokenKind::integer:
        case TokenKind::real:
        case TokenKind::mark:
            break;
    }
    return in_quotes(token.value, 40);
}

}  // namespace

Token TokenStream::take() {
    Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) {
        ++at_;
    }
    return token;
}

bool TokenStream::uses_name(std::size_t begin, std::string_view name) const {
    for (std::size_t i = begin; i < at_; ++i) {
        const bool is_attribute =
            i > 0 && tokens_[i - 1].kind == TokenKind::mark && tokens_[i - 1].value == ".";
        if (tokens_[i].kind == TokenKind::name && tokens_[i].value == name && !is_attribute) {
            return true;
        }
    }
    return false;
}

bool TokenStream::skip_mark(std::string_view mark) {
    const bool found = is_mark(mark);
    if (found) {
        take();
    }
    return found;
}

bool TokenStream::skip_name(std::string_view name) {
    const bool found = is_name(name);
    if (found) {
        take();
    }
    return found;
}

void TokenStream::expect_mark(std::string_view mark) {
    if (!skip_mark(mark)) {
        fail(format("'{}' is expected, not {}", mark, describe(current())));
    }
}

void TokenStream::expect_name(std::string_view name) {
    if (!skip_name(name)) {
        fail(format("'{}' is expected, not {}", name, describe(current())));
    }
}

void TokenStream::expect(TokenKind kind) {
    if (!is(kind)) {
        fail(format("{} is expected, not {}", describe({.kind = kind}), describe(current())));
    }
    take();
}

std::string TokenStream::take_name() {
    if (!is(TokenKind::name)) {
        fail(format("a name is expected, not {}", describe(current())));
    }
    return take().value;
}

void TokenStream::fail(const std::string& what) const {
    throw Error(ErrorKind::malformed, format("line {}: {}", current().line, what));
}

void TokenStream::refuse(const std::string& what) const {
    throw Error(ErrorKind::unsupported, format("line {}: {}", current().line, what));
}

}  // namespace anamnesis::language::jinja
