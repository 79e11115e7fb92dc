// SPDX-License-Identifier: Apache-2.0
#include "value.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "code_points.hpp"
#include "loop.hpp"

namespace anamnesis::language::jinja {
namespace {

Value read_number(const Json& json) {
    const std::string text = json.dump();
    if (text.find_first_of(".eE") != std::string::npos) {
        return json.as_double("number");
    }
    return in_context([&] { return format("reading the number {}", text); },
                      [&] { return Value(json.as_integer("number")); });
}

bool are_equal(const std::vector<Value>& left, const std::vector<Value>& right) {
    return std::ranges::equal(left, right, equals);
}

bool are_equal(const Dict& left, const Dict& right) {
    return left.items.size() == right.items.size() &&
           std::ranges::all_of(left.items, [&](const auto& item) {
               const Value* other = right.find(item.first);
               return other != nullptr && equals(item.second, *other);
           });
}

/// Lists equal lists, tuples tuples; ranges and views by their items too.
bool are_equal(const Sequence& left, const Sequence& right) {
    return &left == &right || (left.kind == right.kind && left.kind != Sequence::Kind::generator &&
                               are_equal(left.items, right.items));
}

}  // namespace

const Value* Dict::find(const Value& key) const {
    for (const auto& [name, value] : items) {
        if (equals(name, key)) {
            return &value;
        }
    }
    return nullptr;
}

const Value* Dict::find(std::string_view key) const {
    for (const auto& [name, value] : items) {
        const std::string* text = name.text();
        if (text != nullptr && *text == key) {
            return &value;
        }
    }
    return nullptr;
}

void Dict::set(Value key, Value value) {
    check_key(key);
    for (auto& [name, old] : items) {
        if (equals(name, key)) {
            old = std::move(value);
            return;
        }
    }
    items.emplace_back(std::move(key), std::move(value));
}

Value Value::read(const Json& json) {
    if (json.is_null()) {
        return {};
    }
    if (json.is_boolean()) {
        return json.as_boolean("value");
    }
    if (json.is_number()) {
        return read_number(json);
    }
    if (json.is_string()) {
        return json.as_string("value");
    }
    if (json.is_array()) {
        std::vector<Value> items;
        for (const Json& item : json.as_array("value")) {
            items.push_back(read(item));
        }
        return list(std::move(items));
    }
    Dict dict;
    for (const auto& [key, value] : json.as_object("value")) {
        dict.items.emplace_back(key, read(value));  // keys of JSON objects differ
    }
    return dict;
}

bool Value::is_number() const {
    return real().has_value();
}

const std::string* Value::text() const {
    const auto* text = get_if<Text>();
    return text == nullptr ? nullptr : text->bytes.get();
}

bool Value::is_markup() const {
    const auto* text = get_if<Text>();
    return text != nullptr && text->is_markup;
}

const Sequence* Value::sequence() const {
    const auto* found = get_if<std::shared_ptr<const Sequence>>();
    return found == nullptr ? nullptr : found->get();
}

const Dict* Value::dict() const {
    const auto* found = get_if<std::shared_ptr<const Dict>>();
    return found == nullptr ? nullptr : found->get();
}

std::optional<std::int64_t> Value::integer() const {
    if (const auto* flag = get_if<bool>()) {
        return *flag ? 1 : 0;
    }
    const auto* number = get_if<std::int64_t>();
    return number == nullptr ? std::nullopt : std::optional(*number);
}

std::optional<double> Value::real() const {
    if (const auto* number = get_if<double>()) {
        return *number;
    }
    const std::optional<std::int64_t> whole = integer();
    return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

bool Value::is_true() const {
    if (const std::optional<double> number = real()) {
        return *number != 0.0;
    }
    if (const std::string* bytes = text()) {
        return !bytes->empty();
    }
    if (const Sequence* items = sequence()) {
        return items->kind == Sequence::Kind::generator || !items->items.empty();
    }
    if (const Dict* items = dict()) {
        return !items->items.empty();
    }
    return !is_undefined() && !is_none();
}

std::string_view Value::type_name() const {
    if (const Sequence* items = sequence()) {
        switch (items->kind) {
            case Sequence::Kind::list:
                return "list";
            case Sequence::Kind::tuple:
                return "tuple";
            case Sequence::Kind::range:
                return "range";
            case Sequence::Kind::view:
                return "view of a dict";
            case Sequence::Kind::generator:
                return "generator";
        }
    }
    constexpr std::string_view names[] = {"Undefined",
                                          "None",
                                          "bool",
                                          "int",
                                          "float",
                                          "str",
                                          "list",
                                          "dict",
                                          "namespace",
                                          "function",
                                          "loop"};
    return names[data_.index()];
}

bool equals(const Value& left, const Value& right) {
    const auto left_whole = left.integer();
    const auto right_whole = right.integer();
    if (left_whole && right_whole) {
        return *left_whole == *right_whole;
    }
    if (left.is_number() && right.is_number()) {
        return *left.real() == *right.real();
    }
    if (left.text() != nullptr && right.text() != nullptr) {
        return *left.text() == *right.text();
    }
    if (left.sequence() != nullptr && right.sequence() != nullptr) {
        return are_equal(*left.sequence(), *right.sequence());
    }
    if (left.dict() != nullptr && right.dict() != nullptr) {
        return are_equal(*left.dict(), *right.dict());
    }
    if (left.is_undefined() || left.is_none()) {
        return left.type_name() == right.type_name();
    }
    const auto is_same = [&]<class T>(const T*) {
        const auto* a = left.get_if<T>();
        const auto* b = right.get_if<T>();
        return a != nullptr && b != nullptr && *a == *b;
    };
    return is_same(static_cast<const std::shared_ptr<Namespace>*>(nullptr)) ||
           is_same(static_cast<const std::shared_ptr<const Function>*>(nullptr)) ||
           is_same(static_cast<const std::shared_ptr<Loop>*>(nullptr));
}

bool is_less(const Value& left, const Value& right) {
    const auto left_whole = left.integer();
    const auto right_whole = right.integer();
    if (left_whole && right_whole) {
        return *left_whole < *right_whole;
    }
    if (left.is_number() && right.is_number()) {
        return *left.real() < *right.real();
    }
    if (left.text() != nullptr && right.text() != nullptr) {
        return *left.text() < *right.text();  // UTF-8 keeps the order of code points
    }
    const Sequence* a = left.sequence();
    const Sequence* b = right.sequence();
    if (a != nullptr && b != nullptr && a->kind == b->kind &&
        (a->kind == Sequence::Kind::list || a->kind == Sequence::Kind::tuple)) {
        for (std::size_t i = 0; i < std::min(a->items.size(), b->items.size()); ++i) {
            if (!equals(a->items[i], b->items[i])) {
                return is_less(a->items[i], b->items[i]);
            }
        }
        return a->items.size() < b->items.size();
    }
    for (const Value* value : {&left, &right}) {
        if (const auto* undefined = value->get_if<Undefined>()) {
            throw Error(ErrorKind::usage, undefined->what);
        }
    }
    throw Error(ErrorKind::usage,
                format("{} and {} have no order", left.type_name(), right.type_name()));
}

void check_key(const Value& value) {
    const Sequence* sequence = value.sequence();
    if (value.dict() != nullptr ||
        (sequence != nullptr &&
         (sequence->kind == Sequence::Kind::list || sequence->kind == Sequence::Kind::view))) {
        throw Error(ErrorKind::usage, format("a {} is no key", value.type_name()));
    }
    if (sequence != nullptr && sequence->kind == Sequence::Kind::tuple) {
        for (const Value& item : sequence->items) {
            check_key(item);
        }
    }
}

std::vector<Value> list_items(const Value& value) {
    if (const Sequence* items = value.sequence()) {
        if (items->kind != Sequence::Kind::generator) {
            return items->items;
        }
        const auto make_items = std::exchange(items->make_items, {});
        return make_items ? make_items() : std::vector<Value>();
    }
    std::vector<Value> items;
    if (const std::string* text = value.text()) {
        const std::vector<std::size_t> offsets = find_characters(*text);
        for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
            items.emplace_back(text->substr(offsets[i], offsets[i + 1] - offsets[i]));
        }
        return items;
    }
    if (const Dict* dict = value.dict()) {
        for (const auto& [key, item] : dict->items) {
            items.push_back(key);
        }
        return items;
    }
    if (value.is_undefined()) {
        return items;
    }
    throw Error(ErrorKind::usage, format("a value of type {} has no items", value.type_name()));
}

std::int64_t count_items(const Value& value) {
    if (const std::string* text = value.text()) {
        return count_characters(*text);
    }
    const Sequence* items = value.sequence();
    if (items != nullptr && items->kind != Sequence::Kind::generator) {
        return static_cast<std::int64_t>(items->items.size());
    }
    if (const Dict* dict = value.dict()) {
        return static_cast<std::int64_t>(dict->items.size());
    }
    if (value.is_undefined()) {
        return 0;
    }
    throw Error(ErrorKind::usage, format("a value of type {} has no length", value.type_name()));
}

}  // namespace anamnesis::language::jinja
