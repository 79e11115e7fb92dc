// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "expression_parser.hpp"
#include "syntax.hpp"
#include "token_stream.hpp"

namespace anamnesis::language::jinja {

ExpressionPointer ExpressionParser::parse_primary() {
    const Token& token = stream_.current();
    const int line = token.line;
    switch (token.kind) {
        case TokenKind::name: {
            const std::string name = stream_.take().value;
            if (name == "true" || name == "True" || name == "false" || name == "False") {
                return make(line, Constant{.value = name == "true" || name == "True"});
            }
            return name == "none" || name == "None" ? make(line, Constant{})
                                                    : make(line, Name{.name = name});
        }
        case TokenKind::text: {
            std::string text;
            while (stream_.is(TokenKind::text)) {
                text += stream_.take().value;
            }
            return make(line, Constant{.value = std::move(text)});
        }
        case TokenKind::integer: {
            const std::string digits = stream_.take().value;
            std::int64_t number = 0;
            if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec !=
                std::errc()) {
                stream_.refuse("whole numbers beyond 64 bits are not supported");
            }
            return make(line, Constant{.value = number});
        }
        case TokenKind::real:
            return make(line,
                        Constant{.value = std::strtod(stream_.take().value.c_str(), nullptr)});
        default:
            break;
    }
    if (stream_.is_mark("(")) {
        return parse_parentheses();
    }
    if (stream_.is_mark("[")) {
        return parse_list();
    }
    if (stream_.is_mark("{")) {
        return parse_dict();
    }
    stream_.fail("an expression is expected");
}

ExpressionPointer ExpressionParser::parse_parentheses() {
    const int line = stream_.take().line;
    ExpressionPointer node = stream_.is_mark(")")
                                 ? make(line, ListDisplay{.items = {}, .is_tuple = true})
                                 : parse_tuple();
    stream_.expect_mark(")");
    return node;
}

ExpressionPointer ExpressionParser::parse_list() {
    const int line = stream_.take().line;
    std::vector<ExpressionPointer> items;
    while (!stream_.is_mark("]")) {
        if (!items.empty()) {
            stream_.expect_mark(",");
            if (stream_.is_mark("]")) {
                break;
            }
        }
        items.push_back(parse());
    }
    stream_.expect_mark("]");
    return make(line, ListDisplay{.items = std::move(items)});
}

ExpressionPointer ExpressionParser::parse_dict() {
    const int line = stream_.take().line;
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> items;
    while (!stream_.is_mark("}")) {
        if (!items.empty()) {
            stream_.expect_mark(",");
            if (stream_.is_mark("}")) {
                break;
            }
        }
        ExpressionPointer key = parse();
        stream_.expect_mark(":");
        items.emplace_back(std::move(key), parse());
    }
    stream_.expect_mark("}");
    return make(line, DictDisplay{.items = std::move(items)});
}

}  // namespace anamnesis::language::jinja
