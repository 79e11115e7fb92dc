// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols.hpp"
#include "syntax.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

/// Names of one block; those of the blocks around it are reached through `outer`.
struct Scope {
    std::shared_ptr<Scope> outer{};
    std::map<std::string, Value, std::less<>> names{};
};

/// What a template that never ends, or fills the memory, is stopped by.
struct Limits {
    std::uint64_t steps = 20'000'000;  ///< nodes evaluated, and 64 bytes of text each
    int depth = 1000;                  ///< calls and nodes within each other
};

/// Runs a template once.
class Interpreter {
public:
    /// `hidden` are the hidden names of the template; `now` is what `strftime_now` reads.
    Interpreter(const Dict& variables,
                const HiddenNames& hidden,
                std::function<std::tm()> now,
                const Limits& limits = {});
    /// Takes macros and namespaces apart, which may hold each other.
    ~Interpreter();
    Interpreter(const Interpreter&) = delete;
    Interpreter& operator=(const Interpreter&) = delete;
    Interpreter(Interpreter&&) = delete;
    Interpreter& operator=(Interpreter&&) = delete;

    /// Errors: `usage` for what Python would refuse, and for `raise_exception`; `unsupported`;
    /// `exhausted` at the limits. All with the line.
    std::string run(const Body& body);

    // For filters, tests and functions:

    Value call(const Value& callee, Arguments arguments);
    Value apply_filter(std::string_view name, const Value& operand, const Arguments& arguments);
    bool apply_test(std::string_view name, const Value& operand, const Arguments& arguments);
    std::tm now() const { return now_(); }
    /// Makes a namespace that is taken apart at the end.
    std::shared_ptr<Namespace> make_namespace();
    /// Errors: `exhausted` where the template has done too much.
    void spend(std::size_t steps);

private:
    friend struct Evaluator;
    friend struct Executor;

    Value evaluate(const Expression& expression);
    Arguments evaluate(const CallArguments& arguments);
    Value lookup(const std::string& name) const;
    void assign(const Target& target, const Value& value);
    void assign_tuple(const Target& target, const Value& value);

    enum class Flow : std::uint8_t { next, leave, repeat };
    Flow execute(const Body& body);
    Flow execute(const Statement& statement);
    Flow run_loop(const For& loop, const Value& items, std::int64_t depth);
    std::vector<Value> choose_items(const For& loop, const Value& items);
    /// The text that a body prints, in a block of its own.
    std::string capture(const Body& body);
    void print(std::string_view text);
    Value apply_filters(const Expression* filter, const std::string& text);
    Value make_macro(const std::shared_ptr<const Procedure>& procedure);
    Value call_macro(const Procedure& procedure,
                     const std::shared_ptr<Scope>& scope,
                     Arguments arguments);

    /// A block within `outer`, where the names that `body` assigns first are undefined.
    void open_scope(const Body& body, std::shared_ptr<Scope> outer);

    Limits limits_;
    const HiddenNames* hidden_;
    std::function<std::tm()> now_;
    std::uint64_t steps_ = 0;
    int depth_ = 0;
    int line_ = 1;
    std::shared_ptr<Scope> scope_;
    std::string* output_ = nullptr;
    const std::string* filtered_ = nullptr;  ///< what a filter without operand reads
    std::vector<std::weak_ptr<Namespace>> namespaces_{};
    std::vector<std::weak_ptr<Scope>> macro_scopes_{};
};

}  // namespace anamnesis::language::jinja
