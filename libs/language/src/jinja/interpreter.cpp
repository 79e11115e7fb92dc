// SPDX-License-Identifier: Apache-2.0
#include "interpreter.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "execution_depth.hpp"
#include "filters.hpp"
#include "globals.hpp"
#include "loop.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "syntax.hpp"
#include "tests.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

/// A macro, with the names around its definition.
class Macro : public Function {
public:
    using Caller = std::function<Value(Arguments)>;

    Macro(std::shared_ptr<const Procedure> procedure, Caller caller)
        : procedure_(std::move(procedure)), caller_(std::move(caller)) {}

    Value call(Interpreter& /*interpreter*/, Arguments arguments) const override {
        return caller_(std::move(arguments));
    }

    Value attribute(std::string_view name) const override {
        if (name == "name") {
            return procedure_->name;
        }
        if (name == "arguments") {
            return Value::tuple({procedure_->parameters.begin(), procedure_->parameters.end()});
        }
        if (name == "catch_kwargs" || name == "catch_varargs") {
            return name == "catch_kwargs" ? procedure_->reads_kwargs : procedure_->reads_varargs;
        }
        return name == "caller" ? Value(procedure_->reads_caller) : Value(Undefined{});
    }

private:
    std::shared_ptr<const Procedure> procedure_;
    Caller caller_;
};

std::optional<Value> take_named(Arguments& arguments, std::string_view name) {
    for (auto at = arguments.named.begin(); at != arguments.named.end(); ++at) {
        if (at->first == name) {
            Value value = std::move(at->second);
            arguments.named.erase(at);
            return value;
        }
    }
    return std::nullopt;
}

}  // namespace

Interpreter::Interpreter(const Dict& variables,
                         const HiddenNames& hidden,
                         std::function<std::tm()> now,
                         const Limits& limits)
    : limits_(limits), hidden_(&hidden), now_(std::move(now)), scope_(std::make_shared<Scope>()) {
    scope_->names = list_globals();
    for (const auto& [name, value] : variables.items) {
        scope_->names.insert_or_assign(*name.text(), value);
    }
}

Interpreter::~Interpreter() {
    for (const std::weak_ptr<Namespace>& space : namespaces_) {
        if (const auto left = space.lock()) {
            left->names.items.clear();
        }
    }
    for (const std::weak_ptr<Scope>& scope : macro_scopes_) {
        if (const auto left = scope.lock()) {
            left->names.clear();
        }
    }
}

std::string Interpreter::run(const Body& body) {
    std::string result;
    output_ = &result;
    // A scope of its own: names of the template are not those of the environment.
    open_scope(body, scope_);
    try {
        execute(body);
    } catch (const Error& error) {
        throw Error(error.kind(), format("line {}: {}", line_, error.message()));
    }
    return result;
}

void Interpreter::open_scope(const Body& body, std::shared_ptr<Scope> outer) {
    scope_ = std::make_shared<Scope>(Scope{.outer = std::move(outer)});
    if (const auto found = hidden_->find(&body); found != hidden_->end()) {
        for (const std::string& name : found->second) {
            scope_->names.emplace(name, Undefined{format("'{}' is undefined here", name)});
        }
    }
}

void Interpreter::spend(std::size_t steps) {
    steps_ += steps;
    if (steps_ > limits_.steps) {
        throw Error(ErrorKind::exhausted, "the template takes too many steps");
    }
}

void Interpreter::print(std::string_view text) {
    spend(text.size() / 64);
    check_bytes(output_->size() + text.size());
    output_->append(text);
}

Value Interpreter::lookup(const std::string& name) const {
    for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
        if (const auto found = scope->names.find(name); found != scope->names.end()) {
            return found->second;
        }
    }
    return Undefined{format("'{}' is undefined", name)};
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
    const ExecutionDepth depth(depth_, limits_.depth);
    if (const auto* undefined = callee.get_if<Undefined>()) {
        throw Error(ErrorKind::usage, undefined->what);
    }
    if (const auto* loop = callee.get_if<std::shared_ptr<Loop>>()) {
        if (!(*loop)->recurse || arguments.positional.size() != 1) {
            throw Error(ErrorKind::usage, "'loop' is called with items, in a recursive loop");
        }
        return (*loop)->recurse(arguments.positional.front());
    }
    const auto* function = callee.get_if<std::shared_ptr<const Function>>();
    if (function == nullptr) {
        throw Error(ErrorKind::usage,
                    format("a value of type {} cannot be called", callee.type_name()));
    }
    const std::shared_ptr<const Function> kept = *function;
    Value result = kept->call(*this, std::move(arguments));
    spend(result.text() == nullptr ? 1 : 1 + result.text()->size() / 64);
    return result;
}

Value Interpreter::apply_filter(std::string_view name,
                                const Value& operand,
                                const Arguments& arguments) {
    for (const auto find :
         {find_text_filter, find_sequence_filter, find_choosing_filter, find_value_filter}) {
        if (const FilterFunction filter = find(name)) {
            Value result = filter(*this, operand, arguments);
            spend(result.text() == nullptr ? 1 : 1 + result.text()->size() / 64);
            return result;
        }
    }
    throw Error(ErrorKind::unsupported, format("the filter {} is not supported", in_quotes(name)));
}

bool Interpreter::apply_test(std::string_view name,
                             const Value& operand,
                             const Arguments& arguments) {
    spend(1);
    return run_test(name, operand, arguments);
}

std::shared_ptr<Namespace> Interpreter::make_namespace() {
    auto space = std::make_shared<Namespace>();
    namespaces_.push_back(space);
    return space;
}

Value Interpreter::make_macro(const std::shared_ptr<const Procedure>& procedure) {
    if (macro_scopes_.empty() || macro_scopes_.back().lock() != scope_) {
        macro_scopes_.push_back(scope_);
    }
    return std::shared_ptr<const Function>(
        std::make_shared<Macro>(procedure, [this, procedure, scope = scope_](Arguments arguments) {
            return call_macro(*procedure, scope, std::move(arguments));
        }));
}

Value Interpreter::call_macro(const Procedure& procedure,
                              const std::shared_ptr<Scope>& scope,
                              Arguments arguments) {
    const auto before = scope_;
    open_scope(procedure.body, scope);
    const std::size_t parameters = procedure.parameters.size();
    const std::size_t given = std::min(arguments.positional.size(), parameters);
    for (std::size_t i = 0; i < parameters; ++i) {
        const std::string& name = procedure.parameters[i];
        const std::size_t without_default = parameters - procedure.defaults.size();
        std::optional<Value> value =
            i < given ? arguments.positional[i] : take_named(arguments, name);
        if (!value) {
            value = i >= without_default
                        ? evaluate(*procedure.defaults[i - without_default])
                        : Value(Undefined{format("the parameter '{}' was not given", name)});
        }
        scope_->names.insert_or_assign(name, *std::move(value));
    }
    if (procedure.reads_caller) {
        scope_->names.insert_or_assign(
            "caller", take_named(arguments, "caller").value_or(Undefined{"no caller is defined"}));
    }
    if (procedure.reads_kwargs) {
        Dict named;
        for (auto& [name, value] : arguments.named) {
            named.set(name, std::move(value));
        }
        scope_->names.insert_or_assign("kwargs", std::move(named));
    } else if (!arguments.named.empty()) {
        throw Error(ErrorKind::usage,
                    format("the macro '{}' has no parameter {}",
                           procedure.name,
                           in_quotes(arguments.named.front().first)));
    }
    if (procedure.reads_varargs) {
        scope_->names.insert_or_assign(
            "varargs",
            Value::tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(given),
                          arguments.positional.end()}));
    } else if (arguments.positional.size() > parameters) {
        throw Error(
            ErrorKind::usage,
            format("the macro '{}' takes at most {} arguments", procedure.name, parameters));
    }
    std::string text;
    std::string* const outer = std::exchange(output_, &text);
    execute(procedure.body);
    output_ = outer;
    scope_ = before;
    return text;
}

std::string Interpreter::capture(const Body& body) {
    std::string text;
    std::string* const outer = std::exchange(output_, &text);
    const auto outer_scope = scope_;
    open_scope(body, outer_scope);
    execute(body);
    scope_ = outer_scope;
    output_ = outer;
    return text;
}

}  // namespace anamnesis::language::jinja
