// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::language::jinja {

class Value;
class Interpreter;

/// What a name, key or attribute that is not there gives. Prints as nothing; most uses are errors.
struct Undefined {
    std::string what;  ///< "'x' is undefined"
};

struct None {};

/// UTF-8 text, counted in code points as Python does.
struct Text {
    std::shared_ptr<const std::string> bytes;
    bool is_markup = false;  ///< made by `safe` or `escape`: `+` escapes what it is joined with
};

struct Sequence;
struct Dict;
struct Namespace;
class Function;

/// What `loop` is inside of a loop.
struct Loop;

/// A value of the template language: Python's, as far as templates meet them.
class Value {
public:
    using Data = std::variant<Undefined,
                              None,
                              bool,
                              std::int64_t,
                              double,
                              Text,
                              std::shared_ptr<const Sequence>,
                              std::shared_ptr<const Dict>,
                              std::shared_ptr<Namespace>,
                              std::shared_ptr<const Function>,
                              std::shared_ptr<Loop>>;

    Value() : data_(None{}) {}
    // NOLINTBEGIN(google-explicit-constructor): a value reads as what it is.
    Value(Undefined value) : data_(std::move(value)) {}
    Value(bool value) : data_(value) {}
    Value(std::int64_t value) : data_(value) {}
    Value(double value) : data_(value) {}
    Value(std::string value, bool is_markup = false)
        : data_(Text{std::make_shared<const std::string>(std::move(value)), is_markup}) {}
    Value(std::string_view value) : Value(std::string(value)) {}
    Value(const char* value) : Value(std::string(value)) {}
    Value(Sequence value);
    Value(Dict value);
    Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
    Value(std::shared_ptr<const Function> value) : data_(std::move(value)) {}
    Value(std::shared_ptr<Loop> value) : data_(std::move(value)) {}
    // NOLINTEND(google-explicit-constructor)

    /// Errors: `unsupported` for whole numbers beyond 64 bits.
    static Value read(const Json& json);
    static Value list(std::vector<Value> items);
    static Value tuple(std::vector<Value> items);

    template <class T>
    const T* get_if() const noexcept {
        return std::get_if<T>(&data_);
    }

    bool is_undefined() const { return get_if<Undefined>() != nullptr; }
    bool is_none() const { return get_if<None>() != nullptr; }
    /// bool, int or float.
    bool is_number() const;
    /// The bytes of a text; null for anything else.
    const std::string* text() const;
    bool is_markup() const;
    const Sequence* sequence() const;
    const Dict* dict() const;
    /// bool or int; nothing for anything else.
    std::optional<std::int64_t> integer() const;
    /// bool, int or float; nothing for anything else.
    std::optional<double> real() const;

    /// Python's truth.   Errors: none.
    bool is_true() const;
    /// "int", "str", "dict", …
    std::string_view type_name() const;

private:
    Data data_;
};

/// Everything that has items in an order. Never changed once made: the sandbox of transformers
/// forbids it.
struct Sequence {
    enum class Kind : std::uint8_t {
        list,
        tuple,
        range,
        view,       ///< keys, values or items of a dict: no index
        generator,  ///< what `map`, `select` and the like give: read once, no length
    };

    Kind kind = Kind::list;
    std::vector<Value> items{};
    std::string name{};  ///< how a range or view is printed: "range(0, 3)", "dict_keys"
    /// Of a generator: what makes its items when they are asked for. Empty once it is spent.
    mutable std::function<std::vector<Value>()> make_items{};
};

/// Keys in the order in which they came.
struct Dict {
    std::vector<std::pair<Value, Value>> items{};

    const Value* find(const Value& key) const;
    const Value* find(std::string_view key) const;
    /// Adds or replaces.   Errors: those of `check_key`.
    void set(Value key, Value value);
};

/// The only thing that a template can change.
struct Namespace {
    Dict names{};
};

/// The arguments of a call, evaluated.
struct Arguments {
    std::vector<Value> positional{};
    std::vector<std::pair<std::string, Value>> named{};
};

/// A macro, a method bound to its object, or a function of the environment.
class Function {
public:
    virtual ~Function() = default;
    virtual Value call(Interpreter& interpreter, Arguments arguments) const = 0;
    /// What a template may ask about it; undefined for another name.
    virtual Value attribute(std::string_view /*name*/) const { return Undefined{}; }
};

inline Value::Value(Sequence value) : data_(std::make_shared<const Sequence>(std::move(value))) {}
inline Value::Value(Dict value) : data_(std::make_shared<const Dict>(std::move(value))) {}
inline Value Value::list(std::vector<Value> items) {
    return Sequence{.items = std::move(items)};
}
inline Value Value::tuple(std::vector<Value> items) {
    return Sequence{.kind = Sequence::Kind::tuple, .items = std::move(items)};
}

/// Python's ==.
bool equals(const Value& left, const Value& right);

/// Python's <.   Errors: `usage` for values that have no order.
bool is_less(const Value& left, const Value& right);

/// Errors: `usage` for lists and dicts, which are no keys.
void check_key(const Value& value);

/// The items that a loop over the value sees: characters of a text, keys of a dict. A generator is
/// spent by it.   Errors: `usage` for what cannot be looped over.
std::vector<Value> list_items(const Value& value);

/// Python's len().   Errors: `usage`.
std::int64_t count_items(const Value& value);

}  // namespace anamnesis::language::jinja
