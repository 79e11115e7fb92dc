// SPDX-License-Identifier: Apache-2.0
#include "parser.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/text.hpp"

#include "expression_parser.hpp"
#include "lexer.hpp"
#include "syntax.hpp"
#include "token_stream.hpp"

namespace anamnesis::language::jinja {
namespace {

constexpr int most_nested = 60;

/// Reads statements by Jinja's grammar (jinja2/parser.py, 3.1), with `break` and `continue` and
/// with transformers' `generation`.
class StatementParser {
public:
    explicit StatementParser(std::string_view source)
        : stream_(tokenise(source)), expressions_(stream_) {}

    Body parse() {
        Body body = parse_body({});
        if (!stream_.is(TokenKind::end)) {
            stream_.fail("a tag is expected");
        }
        return body;
    }

private:
    using Ends = std::initializer_list<std::string_view>;

    bool is_at_end(Ends ends) const {
        return stream_.look_ahead().kind == TokenKind::name &&
               std::ranges::count(ends, stream_.look_ahead().value) > 0;
    }

    /// Statements up to the tag of one of these names, which is left to be read; its '{%' is taken.
    Body parse_body(Ends ends) {
        if (++depth_ > most_nested) {
            stream_.fail("blocks are nested too deeply");
        }
        Body body;
        const int line = stream_.current().line;
        while (true) {
            if (stream_.is(TokenKind::end)) {
                if (ends.size() > 0) {
                    throw_open_block(line, ends);
                }
                break;
            }
            if (stream_.is(TokenKind::data)) {
                const Token token = stream_.take();
                body.push_back({.line = token.line, .node = Data{.text = token.value}});
            } else if (stream_.is(TokenKind::variable_begin)) {
                const int at = stream_.take().line;
                body.push_back({.line = at, .node = Print{.value = expressions_.parse_tuple()}});
                stream_.expect(TokenKind::variable_end);
            } else {
                if (ends.size() > 0 && is_at_end(ends)) {
                    stream_.expect(TokenKind::block_begin);
                    break;
                }
                stream_.expect(TokenKind::block_begin);
                body.push_back(parse_statement());
            }
        }
        --depth_;
        return body;
    }

    [[noreturn]] void throw_open_block(int line, Ends ends) const {
        stream_.fail(format("'{}' is expected for the block whose body begins at line {}",
                            *(ends.end() - 1),
                            line));
    }

    void end_tag() { stream_.expect(TokenKind::block_end); }

    Statement parse_statement() {
        const int line = stream_.current().line;
        const std::string name = stream_.take_name();
        Statement statement{.line = line};
        if (name == "if") {
            statement.node = parse_if();
        } else if (name == "for") {
            statement.node = parse_for();
        } else if (name == "set") {
            parse_set(statement);
        } else if (name == "macro") {
            statement.node = parse_macro();
        } else if (name == "call") {
            statement.node = parse_call_block();
        } else if (name == "filter") {
            FilterBlock block;
            block.filter = expressions_.parse_filters(nullptr, true);
            end_tag();
            block.body = parse_to_end("endfilter");
            statement.node = std::move(block);
        } else if (name == "with") {
            statement.node = parse_with();
        } else if (name == "generation") {
            end_tag();
            statement.node = Generation{.body = parse_to_end("endgeneration")};
        } else if (name == "print") {
            statement.node = Print{.value = expressions_.parse_tuple()};
            end_tag();
        } else if (name == "break" || name == "continue") {
            parse_jump(statement, name == "break");
        } else {
            stream_.refuse(format("the tag {} is not supported", in_quotes(name)));
        }
        return statement;
    }

    void parse_jump(Statement& statement, bool is_break) {
        if (loops_ == 0) {
            stream_.fail("'break' and 'continue' belong into loops");
        }
        if (is_break) {
            statement.node = Break{};
        } else {
            statement.node = Continue{};
        }
        end_tag();
    }

    Body parse_to_end(std::string_view end) {
        Body body = parse_body({end});
        stream_.expect_name(end);
        end_tag();
        return body;
    }

    If parse_if() {
        If result;
        while (true) {
            ExpressionPointer condition = expressions_.parse_tuple(false);
            end_tag();
            Body body = parse_body({"elif", "else", "endif"});
            result.branches.emplace_back(std::move(condition), std::move(body));
            if (stream_.skip_name("elif")) {
                continue;
            }
            if (stream_.skip_name("else")) {
                end_tag();
                result.otherwise = parse_body({"endif"});
            }
            stream_.expect_name("endif");
            end_tag();
            return result;
        }
    }

    Target parse_simple_target() {
        Target target{.name = stream_.take_name()};
        for (const std::string_view reserved :
             {"true", "false", "none", "True", "False", "None", "loop"}) {
            if (target.name == reserved) {
                stream_.fail(format("nothing can be assigned to '{}'", reserved));
            }
        }
        return target;
    }

    Target parse_target(bool has_namespaces) {
        std::vector<Target> items;
        bool is_tuple = false;
        while (true) {
            if (stream_.skip_mark("(")) {
                items.push_back(parse_target(has_namespaces));
                stream_.expect_mark(")");
            } else {
                items.push_back(parse_simple_target());
                if (has_namespaces && stream_.skip_mark(".")) {
                    items.back().attribute = stream_.take_name();
                }
            }
            if (!stream_.skip_mark(",")) {
                break;
            }
            is_tuple = true;
            if (stream_.is_name("in") || stream_.is_mark("=") || stream_.is_mark(")")) {
                break;
            }
        }
        return is_tuple ? Target{.items = std::move(items)} : std::move(items.front());
    }

    For parse_for() {
        For loop;
        loop.target = parse_target(false);
        stream_.expect_name("in");
        loop.items = expressions_.parse_tuple(false);
        if (stream_.skip_name("if")) {
            loop.condition = expressions_.parse();
        }
        loop.is_recursive = stream_.skip_name("recursive");
        end_tag();
        ++loops_;
        loop.body = parse_body({"else", "endfor"});
        --loops_;
        if (stream_.skip_name("else")) {
            end_tag();
            loop.otherwise = parse_body({"endfor"});
        }
        stream_.expect_name("endfor");
        end_tag();
        return loop;
    }

    void parse_set(Statement& statement) {
        Target target = parse_target(true);
        if (stream_.skip_mark("=")) {
            statement.node = Set{.target = std::move(target), .value = expressions_.parse_tuple()};
            end_tag();
            return;
        }
        SetBlock block;
        block.target = std::move(target);
        if (stream_.is_mark("|")) {
            block.filter = expressions_.parse_filters(nullptr, false);
        }
        end_tag();
        block.body = parse_to_end("endset");
        statement.node = std::move(block);
    }

    /// `(a, b=1)`
    void parse_signature(Procedure& procedure) {
        stream_.expect_mark("(");
        while (!stream_.is_mark(")")) {
            if (!procedure.parameters.empty()) {
                stream_.expect_mark(",");
            }
            procedure.parameters.push_back(parse_simple_target().name);
            if (stream_.skip_mark("=")) {
                procedure.defaults.push_back(expressions_.parse());
            } else if (!procedure.defaults.empty()) {
                stream_.fail("a parameter without a default comes after one that has one");
            }
        }
        stream_.expect_mark(")");
    }

    /// The body of a macro: jumps do not leave it.
    void parse_procedure_body(Procedure& procedure, std::string_view end) {
        const int loops = std::exchange(loops_, 0);
        const std::size_t begin = stream_.position();
        procedure.body = parse_to_end(end);
        loops_ = loops;
        procedure.reads_varargs = stream_.uses_name(begin, "varargs");
        procedure.reads_kwargs = stream_.uses_name(begin, "kwargs");
        procedure.reads_caller = stream_.uses_name(begin, "caller");
    }

    std::shared_ptr<const Procedure> parse_macro() {
        auto macro = std::make_shared<Procedure>();
        macro->name = parse_simple_target().name;
        parse_signature(*macro);
        end_tag();
        parse_procedure_body(*macro, "endmacro");
        return macro;
    }

    CallBlock parse_call_block() {
        auto caller = std::make_shared<Procedure>();
        caller->name = "caller";
        if (stream_.is_mark("(")) {
            parse_signature(*caller);
        }
        CallBlock block{.call = expressions_.parse()};
        if (!std::holds_alternative<Call>(block.call->node)) {
            stream_.fail("'call' is expected to call a macro");
        }
        end_tag();
        parse_procedure_body(*caller, "endcall");
        block.caller = std::move(caller);
        return block;
    }

    With parse_with() {
        With with;
        while (!stream_.is(TokenKind::block_end)) {
            if (!with.values.empty()) {
                stream_.expect_mark(",");
            }
            Target target = parse_simple_target();
            stream_.expect_mark("=");
            with.values.emplace_back(std::move(target), expressions_.parse());
        }
        end_tag();
        with.body = parse_to_end("endwith");
        return with;
    }

    TokenStream stream_;
    ExpressionParser expressions_;
    int depth_ = 0;
    int loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source) {
    return StatementParser(source).parse();
}

}  // namespace anamnesis::language::jinja
