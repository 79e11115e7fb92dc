// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "syntax.hpp"
#include "token_stream.hpp"

namespace anamnesis::language::jinja {

/// Reads expressions by Jinja's grammar (jinja2/parser.py, 3.1).
/// Errors: `malformed` with the line; `unsupported` for filters and tests that are not known.
class ExpressionParser {
public:
    explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

    /// One expression, with `a if b else c` where `has_conditions`.
    ExpressionPointer parse(bool has_conditions = true);
    /// One, or several with commas: a tuple.
    ExpressionPointer parse_tuple(bool has_conditions = true);
    CallArguments parse_arguments();
    /// `name(…)|name…` applied to `operand` (null: the text of a block).
    ExpressionPointer parse_filters(ExpressionPointer operand, bool begins_with_name);

private:
    class Depth;

    ExpressionPointer parse_or();
    ExpressionPointer parse_and();
    ExpressionPointer parse_not();
    ExpressionPointer parse_comparison();
    ExpressionPointer parse_sum();
    ExpressionPointer parse_concatenation();
    ExpressionPointer parse_product();
    ExpressionPointer parse_power();
    ExpressionPointer parse_unary(bool has_filters);
    ExpressionPointer parse_primary();
    ExpressionPointer parse_postfix(ExpressionPointer node);
    ExpressionPointer parse_after(ExpressionPointer node);
    ExpressionPointer parse_brackets(ExpressionPointer object);
    ExpressionPointer parse_test(ExpressionPointer operand);
    ExpressionPointer parse_list();
    ExpressionPointer parse_dict();
    ExpressionPointer parse_parentheses();
    bool ends_tuple() const;

    TokenStream& stream_;
    int depth_ = 0;
};

}  // namespace anamnesis::language::jinja
