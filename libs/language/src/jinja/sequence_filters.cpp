// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "filters.hpp"
#include "operators.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

Value length(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("length", {}, arguments);
    return count_items(operand);
}

Value first(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("first", {}, arguments);
    std::vector<Value> items = list_items(operand);
    return items.empty() ? Value(Undefined{"there is no first item in an empty sequence"})
                         : items.front();
}

Value last(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("last", {}, arguments);
    const Sequence* sequence = operand.sequence();
    if (sequence != nullptr && sequence->kind == Sequence::Kind::generator) {
        throw Error(ErrorKind::usage, "a generator has no last item; use the filter 'list' first");
    }
    std::vector<Value> items = list_items(operand);
    return items.empty() ? Value(Undefined{"there is no last item in an empty sequence"})
                         : items.back();
}

Value list(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("list", {}, arguments);
    return Value::list(list_items(operand));
}

Value reverse(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("reverse", {}, arguments);
    std::vector<Value> items = list_items(operand);
    std::ranges::reverse(items);
    if (operand.text() == nullptr) {
        const Sequence* sequence = operand.sequence();
        const bool was_generator =
            sequence != nullptr && sequence->kind == Sequence::Kind::generator;
        return was_generator ? Value::list(std::move(items))
                             : make_generator([items = std::move(items)] { return items; });
    }
    std::string text;
    for (const Value& item : items) {
        text += *item.text();
    }
    return text;
}

/// What items are compared by: themselves, or what is under an attribute of theirs.
Value find_key(const Value& item, const Value& attributes, bool is_case_sensitive) {
    const auto adapt = [&](const Value& value) {
        return is_case_sensitive ? value : ignore_case(value);
    };
    return adapt(attributes.is_none() ? item : get_path(item, attributes));
}

/// The same for every attribute of "a,b": `sort` orders by the first that differs.
Value find_keys(const Value& item, const Value& attributes, bool is_case_sensitive) {
    if (attributes.text() == nullptr) {
        return Value::list({find_key(item, attributes, is_case_sensitive)});
    }
    std::vector<Value> keys;
    for (const std::string& name : split(*attributes.text(), ',')) {
        keys.push_back(find_key(item, name, is_case_sensitive));
    }
    return Value::list(std::move(keys));
}

std::vector<Value> sort_by(std::vector<Value> items, std::vector<Value> keys, bool is_reversed) {
    std::vector<std::size_t> order(items.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        return is_reversed ? is_less(keys[b], keys[a]) : is_less(keys[a], keys[b]);
    });
    std::vector<Value> sorted;
    for (const std::size_t i : order) {
        sorted.push_back(std::move(items[i]));
    }
    return sorted;
}

Value sort(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("sort", {"reverse", "case_sensitive", "attribute"}, arguments);
    std::vector<Value> items = list_items(operand);
    interpreter.spend(items.size() * 8);
    std::vector<Value> keys;
    for (const Value& item : items) {
        keys.push_back(find_keys(
            item, reader.get("attribute", Value()), reader.get_flag("case_sensitive", false)));
    }
    return Value::list(
        sort_by(std::move(items), std::move(keys), reader.get_flag("reverse", false)));
}

std::vector<Value> list_unique(Interpreter& interpreter,
                               const Value& operand,
                               const Arguments& arguments) {
    const ArgumentReader reader("unique", {"case_sensitive", "attribute"}, arguments);
    std::vector<Value> seen;
    std::vector<Value> items;
    for (const Value& item : list_items(operand)) {
        interpreter.spend(seen.size() + 1);
        const Value key = find_key(
            item, reader.get("attribute", Value()), reader.get_flag("case_sensitive", false));
        check_key(key);
        if (std::ranges::none_of(seen, [&](const Value& other) { return equals(other, key); })) {
            seen.push_back(key);
            items.push_back(item);
        }
    }
    return items;
}

Value unique(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    return make_generator([&interpreter, operand, arguments] {
        return list_unique(interpreter, operand, arguments);
    });
}

Value find_extreme(std::string_view name, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader(name, {"case_sensitive", "attribute"}, arguments);
    std::optional<Value> best;
    std::optional<Value> best_key;
    for (const Value& item : list_items(operand)) {
        const Value key = find_key(
            item, reader.get("attribute", Value()), reader.get_flag("case_sensitive", false));
        if (!best || (name == "min" ? is_less(key, *best_key) : is_less(*best_key, key))) {
            best = item;
            best_key = key;
        }
    }
    return best ? *best : Value(Undefined{"there is no item in an empty sequence"});
}

Value minimum(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    return find_extreme("min", operand, arguments);
}

Value maximum(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    return find_extreme("max", operand, arguments);
}

Value sum(Interpreter& interpreter, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("sum", {"attribute", "start"}, arguments);
    const Value attribute = reader.get("attribute", Value());
    Value total = reader.get("start", std::int64_t{0});
    if (total.text() != nullptr) {
        throw Error(ErrorKind::usage, "'sum' adds no texts; use 'join'");
    }
    for (const Value& item : list_items(operand)) {
        interpreter.spend(1);
        total = compute("+", total, attribute.is_none() ? item : get_path(item, attribute));
    }
    return total;
}

std::vector<Value> list_batch(const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("batch", {"linecount", "fill_with"}, arguments);
    const std::int64_t size = reader.require_whole("linecount");
    if (size < 1) {
        throw Error(ErrorKind::usage, "'batch' needs a count of 1 or more");
    }
    std::vector<Value> batches;
    std::vector<Value> row;
    for (const Value& item : list_items(operand)) {
        if (static_cast<std::int64_t>(row.size()) == size) {
            batches.push_back(Value::list(std::exchange(row, {})));
        }
        row.push_back(item);
    }
    const Value filling = reader.get("fill_with", Value());
    if (!row.empty()) {
        check_items(static_cast<std::size_t>(size));
        while (!filling.is_none() && static_cast<std::int64_t>(row.size()) < size) {
            row.push_back(filling);
        }
        batches.push_back(Value::list(std::move(row)));
    }
    return batches;
}

Value batch(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    return make_generator([operand, arguments] { return list_batch(operand, arguments); });
}

std::vector<Value> list_items(const Value& operand, const Arguments& arguments) {
    const ArgumentReader none("items", {}, arguments);
    std::vector<Value> pairs;
    if (operand.is_undefined()) {
        return std::vector<Value>();
    }
    if (operand.dict() == nullptr) {
        throw Error(ErrorKind::usage, format("'items' needs a dict, not {}", operand.type_name()));
    }
    for (const auto& [key, value] : operand.dict()->items) {
        pairs.push_back(Value::tuple({key, value}));
    }
    return pairs;
}

Value items(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    return make_generator([operand, arguments] { return list_items(operand, arguments); });
}

Value dictsort(Interpreter& /*interpreter*/, const Value& operand, const Arguments& arguments) {
    const ArgumentReader reader("dictsort", {"case_sensitive", "by", "reverse"}, arguments);
    const std::string by = reader.get_text("by", "key");
    if (operand.dict() == nullptr || (by != "key" && by != "value")) {
        throw Error(ErrorKind::usage, "'dictsort' orders a dict by 'key' or by 'value'");
    }
    std::vector<Value> pairs;
    std::vector<Value> keys;
    for (const auto& [key, value] : operand.dict()->items) {
        pairs.push_back(Value::tuple({key, value}));
        const Value& chosen = by == "key" ? key : value;
        keys.push_back(reader.get_flag("case_sensitive", false) ? chosen : ignore_case(chosen));
    }
    return Value::list(
        sort_by(std::move(pairs), std::move(keys), reader.get_flag("reverse", false)));
}

constexpr std::array<std::pair<std::string_view, FilterFunction>, 14> filters{{
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"list", list},
    {"reverse", reverse},
    {"sort", sort},
    {"unique", unique},
    {"min", minimum},
    {"max", maximum},
    {"sum", sum},
    {"batch", batch},
    {"items", items},
    {"dictsort", dictsort},
}};

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
    const auto found =
        std::ranges::find(filters, name, [](const auto& filter) { return filter.first; });
    return found == filters.end() ? nullptr : found->second;
}

}  // namespace anamnesis::language::jinja
