// SPDX-License-Identifier: Apache-2.0
#include "tests.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "code_points.hpp"
#include "filters.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

using SimpleTest = bool (*)(const Value&);

bool leaves(const Value& value, double rest) {
    if (!value.is_number()) {
        throw Error(ErrorKind::usage, format("a number is expected, not {}", value.type_name()));
    }
    return *compute("%", value, std::int64_t{2}).real() == rest;
}

bool is_sequence(const Value& value) {
    const Sequence* sequence = value.sequence();
    return value.text() != nullptr || value.dict() != nullptr || value.is_undefined() ||
           (sequence != nullptr && sequence->kind != Sequence::Kind::view &&
            sequence->kind != Sequence::Kind::generator);
}

bool is_iterable(const Value& value) {
    return value.text() != nullptr || value.dict() != nullptr || value.sequence() != nullptr ||
           value.is_undefined() || value.get_if<std::shared_ptr<Loop>>() != nullptr;
}

constexpr std::array<std::pair<std::string_view, SimpleTest>, 20> simple_tests{{
    {"defined", [](const Value& value) { return !value.is_undefined(); }},
    {"undefined", [](const Value& value) { return value.is_undefined(); }},
    {"none", [](const Value& value) { return value.is_none(); }},
    {"boolean", [](const Value& value) { return value.get_if<bool>() != nullptr; }},
    {"true", [](const Value& value) { return value.get_if<bool>() != nullptr && value.is_true(); }},
    {"false",
     [](const Value& value) { return value.get_if<bool>() != nullptr && !value.is_true(); }},
    {"integer", [](const Value& value) { return value.get_if<std::int64_t>() != nullptr; }},
    {"float", [](const Value& value) { return value.get_if<double>() != nullptr; }},
    {"number", [](const Value& value) { return value.is_number(); }},
    {"string", [](const Value& value) { return value.text() != nullptr; }},
    {"mapping", [](const Value& value) { return value.dict() != nullptr; }},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"callable",
     [](const Value& value) {
         return value.get_if<std::shared_ptr<const Function>>() != nullptr || value.is_undefined();
     }},
    {"lower", [](const Value& value) { return test_characters(to_text(value), "islower"); }},
    {"upper", [](const Value& value) { return test_characters(to_text(value), "isupper"); }},
    {"odd", [](const Value& value) { return leaves(value, 1.0); }},
    {"even", [](const Value& value) { return leaves(value, 0.0); }},
    {"escaped", [](const Value& value) { return value.is_markup(); }},
    {"filter",
     [](const Value& value) { return value.text() != nullptr && is_filter(*value.text()); }},
}};

/// Tests that are comparisons under another name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> comparisons{{
    {"==", "=="},
    {"eq", "=="},
    {"equalto", "=="},
    {"!=", "!="},
    {"ne", "!="},
    {">", ">"},
    {"gt", ">"},
    {"greaterthan", ">"},
    {"ge", ">="},
    {">=", ">="},
    {"<", "<"},
    {"lt", "<"},
    {"lessthan", "<"},
    {"<=", "<="},
    {"le", "<="},
    {"in", "in"},
}};

template <class Table>
auto find_in(const Table& table, std::string_view name) {
    return std::ranges::find(table, name, [](const auto& entry) { return entry.first; });
}

/// Python's `is`, as far as templates can see it.
bool is_same(const Value& left, const Value& right) {
    return left.type_name() == right.type_name() && equals(left, right);
}

}  // namespace

bool is_test(std::string_view name) {
    return find_in(simple_tests, name) != simple_tests.end() ||
           find_in(comparisons, name) != comparisons.end() || name == "divisibleby" ||
           name == "sameas" || name == "test";
}

bool run_test(std::string_view name, const Value& operand, const Arguments& arguments) {
    if (const auto found = find_in(simple_tests, name); found != simple_tests.end()) {
        const ArgumentReader none(name, {}, arguments);
        return found->second(operand);
    }
    if (const auto found = find_in(comparisons, name); found != comparisons.end()) {
        const ArgumentReader reader(name, {"other"}, arguments);
        return compare(found->second, operand, reader.require("other"));
    }
    if (name == "divisibleby") {
        const ArgumentReader reader(name, {"num"}, arguments);
        const Value rest = compute("%", operand, reader.require_whole("num"));
        return rest.real() == 0.0;
    }
    if (name == "sameas") {
        const ArgumentReader reader(name, {"other"}, arguments);
        return is_same(operand, reader.require("other"));
    }
    if (name == "test") {
        return operand.text() != nullptr && is_test(*operand.text());
    }
    throw Error(ErrorKind::unsupported, format("the test {} is not supported", in_quotes(name)));
}

}  // namespace anamnesis::language::jinja
