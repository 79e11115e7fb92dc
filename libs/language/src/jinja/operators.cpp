// SPDX-License-Identifier: Apache-2.0
#include "operators.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "code_points.hpp"
#include "python_text.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

[[noreturn]] void refuse_types(std::string_view mark, const Value& left, const Value& right) {
    for (const Value* value : {&left, &right}) {
        if (const auto* undefined = value->get_if<Undefined>()) {
            throw Error(ErrorKind::usage, undefined->what);
        }
    }
    throw Error(
        ErrorKind::usage,
        format("'{}' does not go with {} and {}", mark, left.type_name(), right.type_name()));
}

[[noreturn]] void refuse_overflow() {
    throw Error(ErrorKind::unsupported, "whole numbers beyond 64 bits are not supported");
}

void check_divisor(double divisor) {
    if (divisor == 0.0) {
        throw Error(ErrorKind::usage, "division by zero");
    }
}

std::int64_t raise_whole(std::int64_t base, std::int64_t exponent) {
    std::int64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
            refuse_overflow();
        }
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) {
            refuse_overflow();
        }
    }
    return result;
}

/// Rounds towards minus infinity, as Python does.
std::int64_t divide_down(std::int64_t left, std::int64_t right) {
    if (right == -1) {
        std::int64_t negated = 0;
        if (__builtin_sub_overflow(std::int64_t{0}, left, &negated)) {
            refuse_overflow();
        }
        return negated;
    }
    const std::int64_t quotient = left / right;
    return quotient - (left % right != 0 && (left < 0) != (right < 0) ? 1 : 0);
}

Value compute_whole(std::string_view mark, std::int64_t left, std::int64_t right) {
    std::int64_t result = 0;
    bool overflows = false;
    if (mark == "+") {
        overflows = __builtin_add_overflow(left, right, &result);
    } else if (mark == "-") {
        overflows = __builtin_sub_overflow(left, right, &result);
    } else if (mark == "*") {
        overflows = __builtin_mul_overflow(left, right, &result);
    } else if (mark == "**") {
        if (right < 0) {
            check_divisor(static_cast<double>(left));
            return std::pow(static_cast<double>(left), static_cast<double>(right));
        }
        result = raise_whole(left, right);
    } else {
        check_divisor(static_cast<double>(right));
        if (mark == "/") {
            return static_cast<double>(left) / static_cast<double>(right);
        }
        result = mark == "//"  ? divide_down(left, right)
                 : right == -1 ? 0
                               : left - divide_down(left, right) * right;
    }
    if (overflows) {
        refuse_overflow();
    }
    return result;
}

Value compute_real(std::string_view mark, double left, double right) {
    if (mark == "+") {
        return left + right;
    }
    if (mark == "-") {
        return left - right;
    }
    if (mark == "*") {
        return left * right;
    }
    if (mark == "**") {
        if (right < 0) {
            check_divisor(left);
        }
        const double power = std::pow(left, right);
        if (std::isinf(power) && std::isfinite(left) && std::isfinite(right)) {
            throw Error(ErrorKind::usage, "the power is too large for a float");
        }
        return power;
    }
    check_divisor(right);
    if (mark == "/") {
        return left / right;
    }
    double rest = std::fmod(left, right);
    double quotient = (left - rest) / right;
    if (rest != 0.0 && (rest < 0.0) != (right < 0.0)) {
        rest += right;
        quotient -= 1.0;
    }
    if (mark == "%") {
        return rest == 0.0 ? std::copysign(0.0, right) : rest;
    }
    const double floored = std::floor(quotient);
    return quotient - floored > 0.5 ? floored + 1.0 : floored;
}

Value add_texts(const Value& left, const Value& right) {
    const bool is_markup = left.is_markup() || right.is_markup();
    const auto part = [&](const Value& value) {
        return is_markup && !value.is_markup() ? escape_markup(*value.text()) : *value.text();
    };
    check_bytes(left.text()->size() + right.text()->size());
    return {part(left) + part(right), is_markup};
}

bool is_plain_sequence(const Sequence* sequence) {
    return sequence != nullptr &&
           (sequence->kind == Sequence::Kind::list || sequence->kind == Sequence::Kind::tuple);
}

std::optional<Value> add_sequences(const Value& left, const Value& right) {
    const Sequence* a = left.sequence();
    const Sequence* b = right.sequence();
    if (!is_plain_sequence(a) || !is_plain_sequence(b) || a->kind != b->kind) {
        return std::nullopt;
    }
    check_items(a->items.size() + b->items.size());
    std::vector<Value> items = a->items;
    items.insert(items.end(), b->items.begin(), b->items.end());
    return Sequence{.kind = a->kind, .items = std::move(items)};
}

std::optional<Value> repeat(const Value& value, const Value& times) {
    const std::optional<std::int64_t> count = times.integer();
    if (!count || (value.text() == nullptr && !is_plain_sequence(value.sequence()))) {
        return std::nullopt;
    }
    const auto copies =
        static_cast<std::size_t>(std::clamp<std::int64_t>(*count, 0, most_bytes + 1));
    if (const std::string* text = value.text()) {
        check_bytes(text->size() * copies);
        std::string result;
        for (std::size_t i = 0; i < copies && !text->empty(); ++i) {
            result += *text;
        }
        return Value(std::move(result), value.is_markup());
    }
    const Sequence& sequence = *value.sequence();
    check_items(sequence.items.size() * copies);
    std::vector<Value> items;
    for (std::size_t i = 0; i < copies && !sequence.items.empty(); ++i) {
        items.insert(items.end(), sequence.items.begin(), sequence.items.end());
    }
    return Sequence{.kind = sequence.kind, .items = std::move(items)};
}

}  // namespace

void check_bytes(std::size_t bytes) {
    if (bytes > most_bytes) {
        throw Error(ErrorKind::exhausted,
                    format("a text would be longer than {}", human_bytes(most_bytes)));
    }
}

void check_items(std::size_t items) {
    if (items > most_items) {
        throw Error(ErrorKind::exhausted,
                    format("a list would have more than {} items", most_items));
    }
}

Value compute(std::string_view mark, const Value& left, const Value& right) {
    const auto left_whole = left.integer();
    const auto right_whole = right.integer();
    if (left_whole && right_whole) {
        return compute_whole(mark, *left_whole, *right_whole);
    }
    if (left.is_number() && right.is_number()) {
        return compute_real(mark, *left.real(), *right.real());
    }
    if (mark == "+") {
        if (left.text() != nullptr && right.text() != nullptr) {
            return add_texts(left, right);
        }
        if (std::optional<Value> sum = add_sequences(left, right)) {
            return *std::move(sum);
        }
    }
    if (mark == "*") {
        std::optional<Value> product = repeat(left, right);
        product = product ? std::move(product) : repeat(right, left);
        if (product) {
            return *std::move(product);
        }
    }
    if (mark == "%" && left.text() != nullptr) {
        return format_by_percent(*left.text(), right);
    }
    refuse_types(mark, left, right);
}

Value negate(const Value& value) {
    if (const std::optional<std::int64_t> whole = value.integer()) {
        return compute_whole("-", 0, *whole);
    }
    if (const std::optional<double> number = value.real()) {
        return -*number;
    }
    refuse_types("-", value, value);
}

bool holds(const Value& container, const Value& item) {
    if (const std::string* text = container.text()) {
        if (item.text() == nullptr) {
            refuse_types("in", item, container);
        }
        return find_part(*text, *item.text()) != std::string_view::npos;
    }
    if (const Dict* dict = container.dict()) {
        check_key(item);
        return dict->find(item) != nullptr;
    }
    if (container.sequence() == nullptr && !container.is_undefined()) {
        refuse_types("in", item, container);
    }
    return std::ranges::any_of(list_items(container),
                               [&](const Value& other) { return equals(other, item); });
}

bool compare(std::string_view mark, const Value& left, const Value& right) {
    if (mark == "==" || mark == "!=") {
        return equals(left, right) == (mark == "==");
    }
    if (mark == "in" || mark == "not in") {
        return holds(right, left) == (mark == "in");
    }
    if (mark == "<" || mark == ">") {
        return mark == "<" ? is_less(left, right) : is_less(right, left);
    }
    // Numbers that are no numbers are neither.
    const bool is_more = mark == "<=" ? is_less(right, left) : is_less(left, right);
    const auto is_nan = [](const Value& value) { return std::isnan(value.real().value_or(0.0)); };
    return !is_more && !is_nan(left) && !is_nan(right);
}

std::string escape_markup(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '\'':
                result += "&#39;";
                break;
            case '"':
                result += "&#34;";
                break;
            default:
                result.push_back(c);
        }
    }
    check_bytes(result.size());
    return result;
}

}  // namespace anamnesis::language::jinja
