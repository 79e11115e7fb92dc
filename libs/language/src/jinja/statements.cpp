// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "execution_depth.hpp"
#include "interpreter.hpp"
#include "loop.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "syntax.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

/// One overload for each kind of statement.
struct Executor {
    Interpreter& interpreter;
    using Flow = Interpreter::Flow;

    Flow operator()(const Data& node) const {
        interpreter.print(node.text);
        return Flow::next;
    }

    Flow operator()(const Print& node) const {
        interpreter.print(to_text(interpreter.evaluate(*node.value)));
        return Flow::next;
    }

    Flow operator()(const If& node) const {
        for (const auto& [condition, body] : node.branches) {
            if (interpreter.evaluate(*condition).is_true()) {
                return interpreter.execute(body);
            }
        }
        return interpreter.execute(node.otherwise);
    }

    Flow operator()(const For& node) const {
        return interpreter.run_loop(node, interpreter.evaluate(*node.items), 0);
    }

    Flow operator()(const Set& node) const {
        interpreter.assign(node.target, interpreter.evaluate(*node.value));
        return Flow::next;
    }

    Flow operator()(const SetBlock& node) const {
        const std::string text = interpreter.capture(node.body);
        interpreter.assign(node.target, interpreter.apply_filters(node.filter.get(), text));
        return Flow::next;
    }

    Flow operator()(const std::shared_ptr<const Procedure>& macro) const {
        interpreter.assign({.name = macro->name}, interpreter.make_macro(macro));
        return Flow::next;
    }

    Flow operator()(const CallBlock& node) const {
        const auto& call = std::get<Call>(node.call->node);
        const Value callee = interpreter.evaluate(*call.callee);
        Arguments arguments = interpreter.evaluate(call.arguments);
        arguments.named.emplace_back("caller", interpreter.make_macro(node.caller));
        interpreter.print(to_text(interpreter.call(callee, std::move(arguments))));
        return Flow::next;
    }

    Flow operator()(const FilterBlock& node) const {
        const std::string text = interpreter.capture(node.body);
        interpreter.print(to_text(interpreter.apply_filters(node.filter.get(), text)));
        return Flow::next;
    }

    Flow operator()(const With& node) const {
        const auto outer = interpreter.scope_;
        std::vector<Value> values;
        for (const auto& [target, value] : node.values) {
            values.push_back(interpreter.evaluate(*value));
        }
        interpreter.open_scope(node.body, outer);
        for (std::size_t i = 0; i < values.size(); ++i) {
            interpreter.assign(node.values[i].first, values[i]);
        }
        const Flow flow = interpreter.execute(node.body);
        interpreter.scope_ = outer;
        return flow;
    }

    Flow operator()(const Generation& node) const {
        interpreter.print(interpreter.capture(node.body));
        return Flow::next;
    }

    Flow operator()(const Break& /*node*/) const { return Flow::leave; }
    Flow operator()(const Continue& /*node*/) const { return Flow::repeat; }
};

Interpreter::Flow Interpreter::execute(const Body& body) {
    for (const Statement& statement : body) {
        if (const Flow flow = execute(statement); flow != Flow::next) {
            return flow;
        }
    }
    return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
    const ExecutionDepth depth(depth_, limits_.depth);
    spend(1);
    line_ = statement.line;
    return std::visit(Executor{*this}, statement.node);
}

std::vector<Value> Interpreter::choose_items(const For& loop, const Value& items) {
    std::vector<Value> all = list_items(items);
    if (!loop.condition) {
        return all;
    }
    const auto outer = scope_;
    std::vector<Value> chosen;
    for (Value& item : all) {
        scope_ = std::make_shared<Scope>(Scope{.outer = outer});
        assign(loop.target, item);
        if (evaluate(*loop.condition).is_true()) {
            chosen.push_back(std::move(item));
        }
    }
    scope_ = outer;
    return chosen;
}

Interpreter::Flow Interpreter::run_loop(const For& loop, const Value& items, std::int64_t depth) {
    const auto outer = scope_;
    const auto state = std::make_shared<Loop>();
    state->items = choose_items(loop, items);
    state->depth = depth;
    if (loop.is_recursive) {
        state->recurse = [this, &loop, depth, outer](const Value& inner) {
            std::string text;
            std::string* const before = std::exchange(output_, &text);
            const auto scope = std::exchange(scope_, outer);
            run_loop(loop, inner, depth + 1);
            scope_ = scope;
            output_ = before;
            return Value(std::move(text));
        };
    }
    // As Jinja does it: the `else` part runs unless the body came to its end once.
    bool is_else_due = true;
    for (state->index = 0; state->index < state->items.size(); ++state->index) {
        spend(1);
        open_scope(loop.body, outer);
        scope_->names.insert_or_assign("loop", state);
        assign(loop.target, state->items[state->index]);
        const Flow flow = execute(loop.body);
        if (flow == Flow::leave) {
            break;
        }
        is_else_due = is_else_due && flow != Flow::next;
    }
    state->recurse = {};
    scope_ = outer;
    if (!is_else_due || loop.otherwise.empty()) {
        return Flow::next;
    }
    open_scope(loop.otherwise, outer);
    const Flow flow = execute(loop.otherwise);
    scope_ = outer;
    return flow;
}

void Interpreter::assign(const Target& target, const Value& value) {
    if (!target.items.empty()) {
        assign_tuple(target, value);
        return;
    }
    if (target.attribute.empty()) {
        scope_->names.insert_or_assign(target.name, value);
        return;
    }
    const Value object = lookup(target.name);
    const auto* space = object.get_if<std::shared_ptr<Namespace>>();
    if (space == nullptr) {
        throw Error(ErrorKind::usage,
                    format("'{}' is no namespace: nothing can be assigned to its attribute '{}'",
                           target.name,
                           target.attribute));
    }
    if (target.attribute.starts_with("_")) {
        throw Error(ErrorKind::usage,
                    "a namespace takes names that do not begin with an underscore");
    }
    (*space)->names.set(target.attribute, value);
}

void Interpreter::assign_tuple(const Target& target, const Value& value) {
    const std::vector<Value> items = list_items(value);
    if (items.size() != target.items.size()) {
        throw Error(
            ErrorKind::usage,
            format("{} values are expected, {} are there", target.items.size(), items.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
        assign(target.items[i], items[i]);
    }
}

Value Interpreter::apply_filters(const Expression* filter, const std::string& text) {
    if (filter == nullptr) {
        return text;
    }
    const std::string* const outer = std::exchange(filtered_, &text);
    Value result = evaluate(*filter);
    filtered_ = outer;
    return result;
}

}  // namespace anamnesis::language::jinja
