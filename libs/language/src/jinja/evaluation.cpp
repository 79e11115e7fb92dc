// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "attributes.hpp"
#include "execution_depth.hpp"
#include "interpreter.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "syntax.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

/// One overload for each kind of expression.
struct Evaluator {
    Interpreter& interpreter;

    Value get(const ExpressionPointer& expression) const {
        return interpreter.evaluate(*expression);
    }
    Value get_or_none(const ExpressionPointer& expression) const {
        return expression ? interpreter.evaluate(*expression) : Value();
    }

    Value operator()(const Constant& node) const { return node.value; }

    Value operator()(const Name& node) const { return interpreter.lookup(node.name); }

    Value operator()(const ListDisplay& node) const {
        std::vector<Value> items;
        for (const ExpressionPointer& item : node.items) {
            items.push_back(get(item));
        }
        return node.is_tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
    }

    Value operator()(const DictDisplay& node) const {
        Dict dict;
        for (const auto& [key, value] : node.items) {
            Value name = get(key);
            dict.set(std::move(name), get(value));
        }
        return dict;
    }

    Value operator()(const Attribute& node) const {
        return get_attribute(get(node.object), node.name);
    }

    Value operator()(const Subscript& node) const {
        const Value object = get(node.object);
        return get_item(object, get(node.index));
    }

    Value operator()(const Slice& node) const {
        const Value object = get(node.object);
        interpreter.spend(object.text() == nullptr ? 1 : object.text()->size() / 64);
        return get_slice(
            object, get_or_none(node.begin), get_or_none(node.end), get_or_none(node.step));
    }

    Value operator()(const Unary& node) const {
        const Value operand = get(node.operand);
        if (node.mark == "not") {
            return !operand.is_true();
        }
        return node.mark == "-" ? negate(operand) : negate(negate(operand));
    }

    Value operator()(const Binary& node) const {
        Value left = get(node.left);
        if (node.mark == "and" || node.mark == "or") {
            return left.is_true() == (node.mark == "or") ? left : get(node.right);
        }
        Value result = compute(node.mark, left, get(node.right));
        interpreter.spend(result.text() == nullptr ? 1 : result.text()->size() / 64);
        if (const Sequence* sequence = result.sequence()) {
            interpreter.spend(sequence->items.size());
        }
        return result;
    }

    Value operator()(const Comparison& node) const {
        Value left = get(node.first);
        for (const auto& [mark, expression] : node.rest) {
            Value right = get(expression);
            if (right.text() != nullptr) {
                interpreter.spend(right.text()->size() / 64);
            }
            if (!compare(mark, left, right)) {
                return false;
            }
            left = std::move(right);
        }
        return true;
    }

    Value operator()(const Concatenation& node) const {
        std::string text;
        for (const ExpressionPointer& item : node.items) {
            text += to_text(get(item));
            check_bytes(text.size());
        }
        interpreter.spend(text.size() / 64);
        return text;
    }

    Value operator()(const Conditional& node) const {
        if (get(node.condition).is_true()) {
            return get(node.then);
        }
        return node.otherwise ? get(node.otherwise)
                              : Value(Undefined{"the condition is false and there is no 'else'"});
    }

    Value operator()(const Filter& node) const {
        const Value operand = node.operand ? get(node.operand) : Value(*interpreter.filtered_);
        return interpreter.apply_filter(node.name, operand, interpreter.evaluate(node.arguments));
    }

    Value operator()(const Test& node) const {
        const Value operand = get(node.operand);
        return interpreter.apply_test(node.name, operand, interpreter.evaluate(node.arguments));
    }

    Value operator()(const Call& node) const {
        const Value callee = get(node.callee);
        return interpreter.call(callee, interpreter.evaluate(node.arguments));
    }
};

Value Interpreter::evaluate(const Expression& expression) {
    const ExecutionDepth depth(depth_, limits_.depth);
    spend(1);
    line_ = expression.line;
    return std::visit(Evaluator{*this}, expression.node);
}

Arguments Interpreter::evaluate(const CallArguments& arguments) {
    Arguments values;
    for (const ExpressionPointer& argument : arguments.positional) {
        values.positional.push_back(evaluate(*argument));
    }
    if (arguments.star) {
        for (Value& item : list_items(evaluate(*arguments.star))) {
            values.positional.push_back(std::move(item));
        }
    }
    for (const auto& [name, argument] : arguments.named) {
        values.named.emplace_back(name, evaluate(*argument));
    }
    if (arguments.double_star) {
        const Value names = evaluate(*arguments.double_star);
        if (names.dict() == nullptr) {
            throw Error(ErrorKind::usage, format("'**' needs a dict, not {}", names.type_name()));
        }
        for (const auto& [name, value] : names.dict()->items) {
            if (name.text() == nullptr) {
                throw Error(ErrorKind::usage, "'**' needs texts as keys");
            }
            values.named.emplace_back(*name.text(), value);
        }
    }
    return values;
}

}  // namespace anamnesis::language::jinja
