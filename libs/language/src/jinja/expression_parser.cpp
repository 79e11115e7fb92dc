// SPDX-License-Identifier: Apache-2.0
#include "expression_parser.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"

#include "filters.hpp"
#include "syntax.hpp"
#include "tests.hpp"
#include "token_stream.hpp"

namespace anamnesis::language::jinja {
namespace {

/// Deeper nesting is no template of a checkpoint, and would end the stack.
constexpr int most_nested = 100;

}  // namespace

class ExpressionParser::Depth {
public:
    explicit Depth(ExpressionParser& parser) : parser_(parser) {
        if (++parser_.depth_ > most_nested) {
            parser_.stream_.fail("expressions are nested too deeply");
        }
    }
    ~Depth() { --parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    Depth(Depth&&) = delete;
    Depth& operator=(Depth&&) = delete;

private:
    ExpressionParser& parser_;
};

ExpressionPointer ExpressionParser::parse(bool has_conditions) {
    const Depth depth(*this);
    ExpressionPointer value = parse_or();
    while (has_conditions && stream_.is_name("if")) {
        const int line = stream_.take().line;
        ExpressionPointer condition = parse_or();
        ExpressionPointer otherwise = stream_.skip_name("else") ? parse() : nullptr;
        value = make(line,
                     Conditional{.condition = std::move(condition),
                                 .then = std::move(value),
                                 .otherwise = std::move(otherwise)});
    }
    return value;
}

bool ExpressionParser::ends_tuple() const {
    return stream_.is(TokenKind::variable_end) || stream_.is(TokenKind::block_end) ||
           stream_.is(TokenKind::end) || stream_.is_mark(")") || stream_.is_name("in") ||
           stream_.is_name("recursive") || stream_.is_name("if");
}

ExpressionPointer ExpressionParser::parse_tuple(bool has_conditions) {
    const int line = stream_.current().line;
    std::vector<ExpressionPointer> items;
    bool is_tuple = false;
    while (!ends_tuple()) {
        items.push_back(parse(has_conditions));
        if (!stream_.skip_mark(",")) {
            break;
        }
        is_tuple = true;
    }
    if (!is_tuple && items.size() == 1) {
        return std::move(items.front());
    }
    if (items.empty()) {
        stream_.fail("an expression is expected");
    }
    return make(line, ListDisplay{.items = std::move(items), .is_tuple = true});
}

ExpressionPointer ExpressionParser::parse_or() {
    ExpressionPointer left = parse_and();
    while (stream_.is_name("or")) {
        const int line = stream_.take().line;
        left = make(line, Binary{.mark = "or", .left = std::move(left), .right = parse_and()});
    }
    return left;
}

ExpressionPointer ExpressionParser::parse_and() {
    ExpressionPointer left = parse_not();
    while (stream_.is_name("and")) {
        const int line = stream_.take().line;
        left = make(line, Binary{.mark = "and", .left = std::move(left), .right = parse_not()});
    }
    return left;
}

ExpressionPointer ExpressionParser::parse_not() {
    const Depth depth(*this);
    if (stream_.is_name("not")) {
        const int line = stream_.take().line;
        return make(line, Unary{.mark = "not", .operand = parse_not()});
    }
    return parse_comparison();
}

ExpressionPointer ExpressionParser::parse_comparison() {
    const int line = stream_.current().line;
    ExpressionPointer first = parse_sum();
    std::vector<std::pair<std::string, ExpressionPointer>> rest;
    constexpr std::array<std::string_view, 6> marks{"==", "!=", "<", "<=", ">", ">="};
    while (true) {
        if (stream_.is(TokenKind::mark) && std::ranges::count(marks, stream_.current().value) > 0) {
            std::string mark = stream_.take().value;
            rest.emplace_back(std::move(mark), parse_sum());
        } else if (stream_.skip_name("in")) {
            rest.emplace_back("in", parse_sum());
        } else if (stream_.is_name("not") && stream_.look_ahead().kind == TokenKind::name &&
                   stream_.look_ahead().value == "in") {
            stream_.take();
            stream_.take();
            rest.emplace_back("not in", parse_sum());
        } else {
            break;
        }
    }
    return rest.empty()
               ? std::move(first)
               : make(line, Comparison{.first = std::move(first), .rest = std::move(rest)});
}

ExpressionPointer ExpressionParser::parse_sum() {
    ExpressionPointer left = parse_concatenation();
    while (stream_.is_mark("+") || stream_.is_mark("-")) {
        const Token mark = stream_.take();
        left = make(
            mark.line,
            Binary{.mark = mark.value, .left = std::move(left), .right = parse_concatenation()});
    }
    return left;
}

ExpressionPointer ExpressionParser::parse_concatenation() {
    const int line = stream_.current().line;
    std::vector<ExpressionPointer> items;
    items.push_back(parse_product());
    while (stream_.skip_mark("~")) {
        items.push_back(parse_product());
    }
    return items.size() == 1 ? std::move(items.front())
                             : make(line, Concatenation{.items = std::move(items)});
}

ExpressionPointer ExpressionParser::parse_product() {
    ExpressionPointer left = parse_power();
    while (stream_.is_mark("*") || stream_.is_mark("/") || stream_.is_mark("//") ||
           stream_.is_mark("%")) {
        const Token mark = stream_.take();
        left = make(mark.line,
                    Binary{.mark = mark.value, .left = std::move(left), .right = parse_power()});
    }
    return left;
}

ExpressionPointer ExpressionParser::parse_power() {
    ExpressionPointer left = parse_unary(true);
    while (stream_.is_mark("**")) {
        const int line = stream_.take().line;
        left =
            make(line, Binary{.mark = "**", .left = std::move(left), .right = parse_unary(true)});
    }
    return left;
}

ExpressionPointer ExpressionParser::parse_unary(bool has_filters) {
    const Depth depth(*this);
    ExpressionPointer node;
    if (stream_.is_mark("-") || stream_.is_mark("+")) {
        const Token mark = stream_.take();
        node = make(mark.line, Unary{.mark = mark.value, .operand = parse_unary(false)});
    } else {
        node = parse_primary();
    }
    node = parse_postfix(std::move(node));
    return has_filters ? parse_after(std::move(node)) : std::move(node);
}

ExpressionPointer ExpressionParser::parse_postfix(ExpressionPointer node) {
    for (int length = 0;; ++length) {
        // Long chains are deep trees.
        if (length > most_nested) {
            stream_.fail("a chain of attributes and calls is too long");
        }
        const int line = stream_.current().line;
        if (stream_.skip_mark(".")) {
            if (stream_.is(TokenKind::name)) {
                node =
                    make(line, Attribute{.object = std::move(node), .name = stream_.take_name()});
            } else if (stream_.is(TokenKind::integer)) {
                node = make(line, Subscript{.object = std::move(node), .index = parse_primary()});
            } else {
                stream_.fail("a name or a number is expected after '.'");
            }
        } else if (stream_.is_mark("[")) {
            node = parse_brackets(std::move(node));
        } else if (stream_.is_mark("(")) {
            node = make(line, Call{.callee = std::move(node), .arguments = parse_arguments()});
        } else {
            return node;
        }
    }
}

ExpressionPointer ExpressionParser::parse_brackets(ExpressionPointer object) {
    const int line = stream_.take().line;
    ExpressionPointer begin = stream_.is_mark(":") ? nullptr : parse();
    if (stream_.skip_mark("]")) {
        return make(line, Subscript{.object = std::move(object), .index = std::move(begin)});
    }
    if (begin && stream_.is_mark(",")) {
        ListDisplay indices{.is_tuple = true};
        indices.items.push_back(std::move(begin));
        while (stream_.skip_mark(",")) {
            indices.items.push_back(parse());
        }
        stream_.expect_mark("]");
        return make(
            line, Subscript{.object = std::move(object), .index = make(line, std::move(indices))});
    }
    stream_.expect_mark(":");
    const auto is_part = [&] { return !stream_.is_mark("]") && !stream_.is_mark(":"); };
    ExpressionPointer end = is_part() ? parse() : nullptr;
    ExpressionPointer step;
    if (stream_.skip_mark(":")) {
        step = is_part() ? parse() : nullptr;
    }
    stream_.expect_mark("]");
    return make(line,
                Slice{.object = std::move(object),
                      .begin = std::move(begin),
                      .end = std::move(end),
                      .step = std::move(step)});
}

ExpressionPointer ExpressionParser::parse_after(ExpressionPointer node) {
    for (int length = 0;; ++length) {
        if (length > most_nested) {
            stream_.fail("a chain of filters is too long");
        }
        const int line = stream_.current().line;
        if (stream_.is_mark("|")) {
            node = parse_filters(std::move(node), false);
        } else if (stream_.is_name("is")) {
            node = parse_test(std::move(node));
        } else if (stream_.is_mark("(")) {
            node = make(line, Call{.callee = std::move(node), .arguments = parse_arguments()});
        } else {
            return node;
        }
    }
}

ExpressionPointer ExpressionParser::parse_filters(ExpressionPointer operand,
                                                  bool begins_with_name) {
    bool is_first = begins_with_name;
    int length = 0;
    while (is_first || stream_.skip_mark("|")) {
        is_first = false;
        const int line = stream_.current().line;
        std::string name = stream_.take_name();
        if (!is_filter(name)) {
            stream_.refuse(format("the filter {} is not supported", in_quotes(name)));
        }
        if (++length > most_nested) {
            stream_.fail("a chain of filters is too long");
        }
        CallArguments arguments = stream_.is_mark("(") ? parse_arguments() : CallArguments();
        operand = make(line,
                       Filter{.operand = std::move(operand),
                              .name = std::move(name),
                              .arguments = std::move(arguments)});
    }
    return operand;
}

ExpressionPointer ExpressionParser::parse_test(ExpressionPointer operand) {
    const int line = stream_.take().line;
    const bool is_negated = stream_.skip_name("not");
    Test test{.operand = std::move(operand), .name = stream_.take_name()};
    if (!is_test(test.name)) {
        stream_.refuse(format("the test {} is not supported", in_quotes(test.name)));
    }
    const bool begins_value = (stream_.is(TokenKind::name) && !stream_.is_name("else") &&
                               !stream_.is_name("or") && !stream_.is_name("and")) ||
                              stream_.is(TokenKind::text) || stream_.is(TokenKind::integer) ||
                              stream_.is(TokenKind::real) || stream_.is_mark("[") ||
                              stream_.is_mark("{");
    if (stream_.is_mark("(")) {
        test.arguments = parse_arguments();
    } else if (begins_value) {
        if (stream_.is_name("is")) {
            stream_.fail("tests cannot be chained with 'is'");
        }
        test.arguments.positional.push_back(parse_postfix(parse_primary()));
    }
    ExpressionPointer node = make(line, std::move(test));
    return is_negated ? make(line, Unary{.mark = "not", .operand = std::move(node)})
                      : std::move(node);
}

CallArguments ExpressionParser::parse_arguments() {
    const Depth depth(*this);
    stream_.expect_mark("(");
    CallArguments arguments;
    bool is_first = true;
    while (!stream_.is_mark(")")) {
        if (!std::exchange(is_first, false)) {
            stream_.expect_mark(",");
            if (stream_.is_mark(")")) {
                break;
            }
        }
        if (stream_.skip_mark("*")) {
            arguments.star = parse();
        } else if (stream_.skip_mark("**")) {
            arguments.double_star = parse();
        } else if (stream_.is(TokenKind::name) && stream_.look_ahead().kind == TokenKind::mark &&
                   stream_.look_ahead().value == "=") {
            std::string name = stream_.take().value;
            stream_.take();
            arguments.named.emplace_back(std::move(name), parse());
        } else if (!arguments.named.empty() || arguments.double_star) {
            stream_.fail("an argument without a name comes after named ones");
        } else {
            arguments.positional.push_back(parse());
        }
    }
    stream_.expect_mark(")");
    return arguments;
}

}  // namespace anamnesis::language::jinja
