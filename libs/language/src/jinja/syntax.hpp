// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// The syntax tree of a template. Names follow Jinja's own grammar.

struct Expression;
using ExpressionPointer = std::unique_ptr<const Expression>;

struct CallArguments {
    std::vector<ExpressionPointer> positional{};
    std::vector<std::pair<std::string, ExpressionPointer>> named{};
    ExpressionPointer star{};         ///< `*items`
    ExpressionPointer double_star{};  ///< `**items`
};

struct Constant {
    Value value{};
};
struct Name {
    std::string name{};
};
struct ListDisplay {
    std::vector<ExpressionPointer> items{};
    bool is_tuple = false;
};
struct DictDisplay {
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> items{};
};
struct Attribute {
    ExpressionPointer object{};
    std::string name{};
};
struct Subscript {
    ExpressionPointer object{};
    ExpressionPointer index{};
};
/// `object[begin:end:step]`; parts that are not written are null.
struct Slice {
    ExpressionPointer object{};
    ExpressionPointer begin{};
    ExpressionPointer end{};
    ExpressionPointer step{};
};
struct Unary {
    std::string mark{};  ///< "-", "+" or "not"
    ExpressionPointer operand{};
};
struct Binary {
    std::string mark{};  ///< an arithmetic operator, "and" or "or"
    ExpressionPointer left{};
    ExpressionPointer right{};
};
/// `first < second == third …`
struct Comparison {
    ExpressionPointer first{};
    std::vector<std::pair<std::string, ExpressionPointer>> rest{};
};
/// `a ~ b ~ c`
struct Concatenation {
    std::vector<ExpressionPointer> items{};
};
struct Conditional {
    ExpressionPointer condition{};
    ExpressionPointer then{};
    ExpressionPointer otherwise{};  ///< null: undefined
};
struct Filter {
    ExpressionPointer operand{};  ///< null in a filter block: its text
    std::string name{};
    CallArguments arguments{};
};
struct Test {
    ExpressionPointer operand{};
    std::string name{};
    CallArguments arguments{};
};
struct Call {
    ExpressionPointer callee{};
    CallArguments arguments{};
};

struct Expression {
    int line = 1;
    std::variant<Constant,
                 Name,
                 ListDisplay,
                 DictDisplay,
                 Attribute,
                 Subscript,
                 Slice,
                 Unary,
                 Binary,
                 Comparison,
                 Concatenation,
                 Conditional,
                 Filter,
                 Test,
                 Call>
        node{};
};

template <class Node>
ExpressionPointer make(int line, Node node) {
    auto expression = std::make_unique<Expression>();
    expression->line = line;
    expression->node = std::move(node);
    return expression;
}

struct Statement;
using Body = std::vector<Statement>;

/// What a loop or `set` writes to: a name, an attribute of a namespace, or several in a tuple.
struct Target {
    std::string name{};
    std::string attribute{};  ///< of the namespace `name`; empty: the name itself
    std::vector<Target> items{};
};

struct Data {
    std::string text{};
};
struct Print {
    ExpressionPointer value{};
};
struct If {
    std::vector<std::pair<ExpressionPointer, Body>> branches;
    Body otherwise;
};
struct For {
    Target target{};
    ExpressionPointer items{};
    ExpressionPointer condition{};  ///< null: all items
    Body body;
    Body otherwise;  ///< where there is no item
    bool is_recursive = false;
};
struct Set {
    Target target{};
    ExpressionPointer value{};
};
struct SetBlock {
    Target target{};
    ExpressionPointer filter{};  ///< null: none
    Body body;
};
/// Parameters and body of a macro or of a call block.
struct Procedure {
    std::string name{};
    std::vector<std::string> parameters{};
    std::vector<ExpressionPointer> defaults{};  ///< of the last parameters
    Body body;
    bool reads_varargs = false;
    bool reads_kwargs = false;
    bool reads_caller = false;
};
struct CallBlock {
    std::shared_ptr<const Procedure> caller{};
    ExpressionPointer call{};
};
struct FilterBlock {
    ExpressionPointer filter{};
    Body body;
};
struct With {
    std::vector<std::pair<Target, ExpressionPointer>> values{};
    Body body;
};
/// `{% generation %}`: transformers marks the assistant's tokens with it.
struct Generation {
    Body body;
};
struct Break {};
struct Continue {};

struct Statement {
    int line = 1;
    std::variant<Data,
                 Print,
                 If,
                 For,
                 Set,
                 SetBlock,
                 std::shared_ptr<const Procedure>,
                 CallBlock,
                 FilterBlock,
                 With,
                 Generation,
                 Break,
                 Continue>
        node{};
};

}  // namespace anamnesis::language::jinja
