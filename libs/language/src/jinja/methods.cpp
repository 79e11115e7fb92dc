// SPDX-License-Identifier: Apache-2.0
#include "methods.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "attributes.hpp"
#include "loop.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

using Caller = Value (*)(const Value&, std::string_view, const Arguments&);

class Method : public Function {
public:
    Method(Value object, std::string name, Caller caller)
        : object_(std::move(object)), name_(std::move(name)), caller_(caller) {}

    Value call(Interpreter& /*interpreter*/, Arguments arguments) const override {
        return caller_(object_, name_, arguments);
    }

private:
    Value object_;
    std::string name_;
    Caller caller_;
};

constexpr std::array<std::string_view, 8> changing_list_methods{
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 5> changing_dict_methods{
    "clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 3> list_methods{"copy", "count", "index"};
constexpr std::array<std::string_view, 6> dict_methods{
    "copy", "fromkeys", "get", "items", "keys", "values"};

template <class Names>
bool has(const Names& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

Value call_dict_method(const Value& object, std::string_view name, const Arguments& arguments) {
    const Dict& dict = *object.dict();
    if (name == "get") {
        const ArgumentReader reader(name, {"key", "default"}, arguments);
        check_key(reader.require("key"));
        const Value* found = dict.find(reader.require("key"));
        return found == nullptr ? reader.get("default", Value()) : *found;
    }
    const ArgumentReader none(name, {}, arguments);
    if (name == "copy") {
        return object;
    }
    if (name == "fromkeys") {
        throw Error(ErrorKind::unsupported, "the method 'fromkeys' of a dict is not supported");
    }
    Sequence view{.kind = Sequence::Kind::view, .name = format("dict_{}", name)};
    for (const auto& [key, value] : dict.items) {
        view.items.push_back(name == "keys"     ? key
                             : name == "values" ? value
                                                : Value::tuple({key, value}));
    }
    return view;
}

Value call_list_method(const Value& object, std::string_view name, const Arguments& arguments) {
    const Sequence& sequence = *object.sequence();
    if (name == "copy") {
        const ArgumentReader none(name, {}, arguments);
        return object;
    }
    const ArgumentReader reader(name, {"value"}, arguments);
    const Value& wanted = reader.require("value");
    if (name == "count") {
        return static_cast<std::int64_t>(std::ranges::count_if(
            sequence.items, [&](const Value& item) { return equals(item, wanted); }));
    }
    const auto found = std::ranges::find_if(
        sequence.items, [&](const Value& item) { return equals(item, wanted); });
    if (found == sequence.items.end()) {
        throw Error(ErrorKind::usage, "'index' found no such item in the list");
    }
    return static_cast<std::int64_t>(found - sequence.items.begin());
}

}  // namespace

bool is_container_method(const Value& object, std::string_view name) {
    if (object.dict() != nullptr) {
        return has(dict_methods, name) || has(changing_dict_methods, name);
    }
    const Sequence* sequence = object.sequence();
    if (sequence == nullptr || sequence->kind == Sequence::Kind::view ||
        sequence->kind == Sequence::Kind::generator) {
        return false;
    }
    if (sequence->kind == Sequence::Kind::list) {
        return has(list_methods, name) || has(changing_list_methods, name);
    }
    return name == "count" || name == "index";
}

Value call_container_method(const Value& object,
                            std::string_view name,
                            const Arguments& arguments) {
    if (object.dict() != nullptr ? has(changing_dict_methods, name)
                                 : has(changing_list_methods, name)) {
        throw Error(
            ErrorKind::usage,
            format("'{}' would change a {}, which a template may not", name, object.type_name()));
    }
    return object.dict() != nullptr ? call_dict_method(object, name, arguments)
                                    : call_list_method(object, name, arguments);
}

bool is_loop_method(std::string_view name) {
    return name == "cycle" || name == "changed";
}

Value call_loop_method(const Value& object, std::string_view name, const Arguments& arguments) {
    Loop& loop = **object.get_if<std::shared_ptr<Loop>>();
    if (name == "cycle") {
        if (arguments.positional.empty()) {
            throw Error(ErrorKind::usage, "'cycle' needs values to go through");
        }
        return arguments.positional[loop.index % arguments.positional.size()];
    }
    const bool is_same =
        loop.last_seen && std::ranges::equal(*loop.last_seen, arguments.positional, equals);
    loop.last_seen = arguments.positional;
    return !is_same;
}

Value find_method(const Value& object, const std::string& name) {
    Caller caller = nullptr;
    if (object.text() != nullptr && is_text_method(name)) {
        caller = call_text_method;
    } else if (is_container_method(object, name)) {
        caller = call_container_method;
    } else if (object.get_if<std::shared_ptr<Loop>>() != nullptr && is_loop_method(name)) {
        caller = call_loop_method;
    }
    if (caller == nullptr) {
        return Undefined{};
    }
    return std::shared_ptr<const Function>(std::make_shared<Method>(object, name, caller));
}

}  // namespace anamnesis::language::jinja
