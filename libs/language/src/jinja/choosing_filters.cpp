// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "attributes.hpp"
#include "code_points.hpp"
#include "filters.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

/// The name in front of further arguments, as in `map('upper')` and `select('equalto', 3)`.
std::pair<std::string, Arguments> split_name(std::string_view filter, const Arguments& arguments) {
    if (arguments.positional.empty() || arguments.positional.front().text() == nullptr) {
        throw Error(ErrorKind::usage, format("'{}' needs a name first", filter));
    }
    Arguments rest{.positional = {arguments.positional.begin() + 1, arguments.positional.end()},
                   .named = arguments.named};
    return {*arguments.positional.front().text(), std::move(rest)};
}

std::vector<Value> list_mapped(Interpreter& interpreter,
                               const Value& operand,
                               const Arguments& arguments) {
    // Jinja looks at what is false, None too, as at nothing.
    std::vector<Value> items = operand.is_true() ? list_items(operand) : std::vector<Value>();
    if (arguments.positional.empty()) {
        const ArgumentReader reader("map", {"attribute", "default"}, arguments);
        for (Value& item : items) {
            interpreter.spend(1);
            item = get_path(item, reader.require("attribute"));
            const Value* otherwise = reader.find("default");
            if (item.is_undefined() && otherwise != nullptr) {
                item = *otherwise;
            }
        }
    } else {
        const auto [name, rest] = split_name("map", arguments);
        for (Value& item : items) {
            item = interpreter.apply_filter(name, item, rest);
        }
    }
    return items;
}

Value map(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return make_generator([&interpreter, operand, arguments] {
        return list_mapped(interpreter, operand, arguments);
    });
}

/// Items for which a test (or their truth) is `wanted`; with `by_attribute` that of an attribute of
/// theirs.
struct Choice {
    std::string_view filter;
    bool wanted = true;
    bool by_attribute = false;
};

std::vector<Value> list_chosen(Interpreter& interpreter,
                               const Choice& choice,
                               const Value& operand,
                               Arguments arguments) {
    std::optional<std::string> attribute;
    if (choice.by_attribute) {
        std::tie(attribute, arguments) = split_name(choice.filter, arguments);
    }
    std::optional<std::string> test;
    if (!arguments.positional.empty()) {
        std::tie(test, arguments) = split_name(choice.filter, arguments);
    }
    std::vector<Value> chosen;
    if (!operand.is_true()) {
        return chosen;
    }
    for (const Value& item : list_items(operand)) {
        interpreter.spend(1);
        const Value value = attribute ? get_path(item, *attribute) : item;
        const bool holds = test ? interpreter.apply_test(*test, value, arguments) : value.is_true();
        if (holds == choice.wanted) {
            chosen.push_back(item);
        }
    }
    return chosen;
}

Value choose(Interpreter& interpreter,
             const Choice& choice,
             const Value& operand,
             const Arguments& arguments) {
    return make_generator([&interpreter, choice, operand, arguments] {
        return list_chosen(interpreter, choice, operand, arguments);
    });
}

Value select(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return choose(interpreter, {"select", true, false}, operand, arguments);
}

Value reject(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return choose(interpreter, {"reject", false, false}, operand, arguments);
}

Value selectattr(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return choose(interpreter, {"selectattr", true, true}, operand, arguments);
}

Value rejectattr(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return choose(interpreter, {"rejectattr", false, true}, operand, arguments);
}

constexpr std::array<std::pair<std::string_view, FilterFunction>, 5> filters{{
    {"map", map},
    {"select", select},
    {"reject", reject},
    {"selectattr", selectattr},
    {"rejectattr", rejectattr},
}};

}  // namespace

FilterFunction find_choosing_filter(std::string_view name) {
    const auto found =
        std::ranges::find(filters, name, [](const auto& filter) { return filter.first; });
    return found == filters.end() ? nullptr : found->second;
}

Value make_generator(std::function<std::vector<Value>()> make_items) {
    return Sequence{.kind = Sequence::Kind::generator, .make_items = std::move(make_items)};
}

bool is_filter(std::string_view name) {
    return find_text_filter(name) != nullptr || find_sequence_filter(name) != nullptr ||
           find_choosing_filter(name) != nullptr || find_value_filter(name) != nullptr;
}

Value get_path(const Value& object, const Value& path) {
    if (path.text() == nullptr) {
        return get_item(object, path);
    }
    Value found = object;
    for (const std::string& part : split(*path.text(), '.')) {
        const bool is_number = !part.empty() &&
                               part.find_first_not_of("0123456789") == std::string::npos &&
                               part.size() < 10;
        found = get_item(found, is_number ? Value(std::int64_t{std::stol(part)}) : Value(part));
    }
    return found;
}

Value ignore_case(const Value& value) {
    return value.text() == nullptr ? value : Value(to_lower(*value.text()));
}

}  // namespace anamnesis::language::jinja
