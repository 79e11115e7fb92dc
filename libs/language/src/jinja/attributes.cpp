// SPDX-License-Identifier: Apache-2.0
#include "attributes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "code_points.hpp"
#include "loop.hpp"
#include "methods.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

void check_defined(const Value& object) {
    if (const auto* undefined = object.get_if<Undefined>()) {
        throw Error(ErrorKind::usage, undefined->what);
    }
}

Value make_undefined(const Value& object, const std::string& name) {
    return Undefined{
        format("a value of type {} has no attribute {}", object.type_name(), in_quotes(name))};
}

std::optional<Value> find_loop_attribute(const std::shared_ptr<Loop>& loop,
                                         const std::string& name) {
    const auto size = static_cast<std::int64_t>(loop->items.size());
    const auto index = static_cast<std::int64_t>(loop->index);
    if (name == "index" || name == "index0") {
        return index + (name == "index" ? 1 : 0);
    }
    if (name == "revindex" || name == "revindex0") {
        return size - index - (name == "revindex" ? 0 : 1);
    }
    if (name == "first" || name == "last") {
        return name == "first" ? index == 0 : index + 1 == size;
    }
    if (name == "length") {
        return size;
    }
    if (name == "depth" || name == "depth0") {
        return loop->depth + (name == "depth" ? 1 : 0);
    }
    if (name == "previtem") {
        return index > 0 ? loop->items[loop->index - 1]
                         : Value(Undefined{"there is no previous item"});
    }
    if (name == "nextitem") {
        return index + 1 < size ? loop->items[loop->index + 1]
                                : Value(Undefined{"there is no next item"});
    }
    return std::nullopt;
}

std::optional<Value> find_attribute(const Value& object, const std::string& name) {
    if (const auto* space = object.get_if<std::shared_ptr<Namespace>>()) {
        const Value* found = (*space)->names.find(std::string_view(name));
        return found == nullptr ? std::nullopt : std::optional(*found);
    }
    if (const auto* loop = object.get_if<std::shared_ptr<Loop>>()) {
        if (std::optional<Value> found = find_loop_attribute(*loop, name)) {
            return found;
        }
    }
    if (const auto* function = object.get_if<std::shared_ptr<const Function>>()) {
        Value attribute = (*function)->attribute(name);
        return attribute.is_undefined() ? std::nullopt : std::optional(std::move(attribute));
    }
    Value method = find_method(object, name);
    return method.is_undefined() ? std::nullopt : std::optional(std::move(method));
}

std::optional<Value> find_item(const Value& object, const Value& index) {
    if (const Dict* dict = object.dict()) {
        const Value* found = dict->find(index);
        return found == nullptr ? std::nullopt : std::optional(*found);
    }
    const std::optional<std::int64_t> place = index.integer();
    const Sequence* sequence = object.sequence();
    const bool has_places = object.text() != nullptr ||
                            (sequence != nullptr && sequence->kind != Sequence::Kind::view &&
                             sequence->kind != Sequence::Kind::generator);
    if (!place || !has_places) {
        return std::nullopt;
    }
    const std::int64_t size = count_items(object);
    const std::int64_t at = *place < 0 ? *place + size : *place;
    if (at < 0 || at >= size) {
        return std::nullopt;
    }
    if (sequence != nullptr) {
        return sequence->items[static_cast<std::size_t>(at)];
    }
    const std::vector<std::size_t> offsets = find_characters(*object.text());
    const auto first = static_cast<std::size_t>(at);
    return object.text()->substr(offsets[first], offsets[first + 1] - offsets[first]);
}

std::int64_t read_bound(const Value& value, std::int64_t otherwise) {
    if (value.is_none()) {
        return otherwise;
    }
    const std::optional<std::int64_t> number = value.integer();
    if (!number) {
        throw Error(ErrorKind::usage,
                    format("a slice needs whole numbers, not {}", value.type_name()));
    }
    return *number;
}

/// The places that a slice takes, as Python's slice.indices() says.
std::vector<std::size_t> find_places(std::int64_t size,
                                     const Value& begin,
                                     const Value& end,
                                     const Value& step) {
    const std::int64_t stride = read_bound(step, 1);
    if (stride == 0) {
        throw Error(ErrorKind::usage, "the step of a slice is 0");
    }
    const std::int64_t lowest = stride > 0 ? 0 : -1;
    const std::int64_t highest = stride > 0 ? size : size - 1;
    const auto place = [&](const Value& value, std::int64_t otherwise) {
        const std::int64_t number = read_bound(value, otherwise);
        return value.is_none() ? otherwise
                               : std::clamp(number < 0 ? number + size : number, lowest, highest);
    };
    const std::int64_t first = place(begin, stride > 0 ? lowest : highest);
    const std::int64_t last = place(end, stride > 0 ? highest : lowest);
    std::vector<std::size_t> places;
    for (std::int64_t at = first; stride > 0 ? at < last : at > last;) {
        places.push_back(static_cast<std::size_t>(at));
        if (__builtin_add_overflow(at, stride, &at)) {
            break;
        }
    }
    return places;
}

}  // namespace

Value get_attribute(const Value& object, const std::string& name) {
    check_defined(object);
    if (name.starts_with("_")) {
        return Undefined{format("access to the attribute {} is not safe", in_quotes(name))};
    }
    if (std::optional<Value> found = find_attribute(object, name)) {
        return *std::move(found);
    }
    std::optional<Value> item = find_item(object, name);
    return item ? *std::move(item) : make_undefined(object, name);
}

Value get_item(const Value& object, const Value& index) {
    check_defined(object);
    if (std::optional<Value> found = find_item(object, index)) {
        return *std::move(found);
    }
    const std::string* name = index.text();
    if (name == nullptr) {
        return Undefined{format("a value of type {} has no such item", object.type_name())};
    }
    if (name->starts_with("_")) {
        return Undefined{format("access to the attribute {} is not safe", in_quotes(*name))};
    }
    std::optional<Value> attribute = find_attribute(object, *name);
    return attribute ? *std::move(attribute) : make_undefined(object, *name);
}

Value get_slice(const Value& object, const Value& begin, const Value& end, const Value& step) {
    check_defined(object);
    if (const std::string* text = object.text()) {
        const std::vector<std::size_t> offsets = find_characters(*text);
        std::string result;
        for (const std::size_t at :
             find_places(static_cast<std::int64_t>(offsets.size()) - 1, begin, end, step)) {
            result.append(*text, offsets[at], offsets[at + 1] - offsets[at]);
        }
        return {std::move(result), object.is_markup()};
    }
    const Sequence* sequence = object.sequence();
    if (sequence == nullptr || sequence->kind == Sequence::Kind::view ||
        sequence->kind == Sequence::Kind::generator) {
        throw Error(ErrorKind::usage,
                    format("a value of type {} cannot be cut", object.type_name()));
    }
    Sequence result{.kind = sequence->kind};
    for (const std::size_t at :
         find_places(static_cast<std::int64_t>(sequence->items.size()), begin, end, step)) {
        result.items.push_back(sequence->items[at]);
    }
    return result;
}

}  // namespace anamnesis::language::jinja
