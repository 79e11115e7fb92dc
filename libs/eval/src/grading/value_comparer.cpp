// SPDX-License-Identifier: Apache-2.0
#include "grading/value_comparer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmpxx.h>

#include "grading/calendar_reader.hpp"
#include "grading/evaluation.hpp"
#include "grading/expression.hpp"
#include "grading/identity.hpp"
#include "grading/rational.hpp"
#include "grading/units.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr Comparison different{};
constexpr Comparison same{.sameness = Sameness::same};
constexpr Comparison undecided{.sameness = Sameness::undecided};

Comparison to_comparison(bool is_same) {
    return is_same ? same : different;
}

Expression multiplied(Expression left, const Expression& right) {
    const auto offset = static_cast<std::uint32_t>(left.nodes.size());
    for (Node node : right.nodes) {
        node.left += offset;
        node.right += offset;
        left.nodes.push_back(std::move(node));
    }
    left.nodes.push_back({.operation = Operation::multiply,
                          .left = offset - 1,
                          .right = static_cast<std::uint32_t>(left.nodes.size() - 1)});
    left.has_long_decimal |= right.has_long_decimal;
    return left;
}

/// Compares as `compare_values` does, item by item.
class Comparer {
public:
    explicit Comparer(const ComparisonRules& rules) : rules_(rules) {}

    Comparison values(const Value& gold, const Value& answer) const {
        if (answer.equation && !gold.equation && answer.kind == ValueKind::equation) {
            return different;
        }
        if (gold.equation && answer.equation) {
            return equations(gold, *gold.equation, answer, *answer.equation);
        }
        if (gold.kind == ValueKind::equation) {
            return different;
        }
        return contents(gold, answer);
    }

private:
    /// "x=5" and "y=5" differ, "y=2x+3" and "f(x)=2x+3" do not.
    Comparison equations(const Value& gold,
                         const Expression& gold_sides,
                         const Value& answer,
                         const Expression& answer_sides) const {
        const Sameness sameness = compare_equations(gold_sides, answer_sides);
        if (sameness == Sameness::same) {
            return same;
        }
        if (gold.kind == ValueKind::equation || answer.kind == ValueKind::equation) {
            return {.sameness = sameness};
        }
        const bool has_function = gold.label == "f(x)" || answer.label == "f(x)";
        return gold.label == answer.label || has_function ? contents(gold, answer) : different;
    }

    Comparison contents(const Value& gold, const Value& answer) const {
        if (gold.kind == ValueKind::clock || answer.kind == ValueKind::clock) {
            return to_comparison(same_clock(gold, answer));
        }
        if (gold.kind == ValueKind::date || answer.kind == ValueKind::date) {
            return to_comparison(gold.kind == answer.kind && same_date(gold.date, answer.date));
        }
        if (gold.kind == ValueKind::intervals || answer.kind == ValueKind::intervals) {
            return intervals(gold, answer);
        }
        if (gold.kind == ValueKind::matrix || answer.kind == ValueKind::matrix) {
            return matrices(gold, answer);
        }
        if (gold.kind == ValueKind::collection || answer.kind == ValueKind::collection) {
            return collections(gold, answer);
        }
        if (gold.kind == ValueKind::based || answer.kind == ValueKind::based) {
            return based(gold, answer);
        }
        if (gold.kind == ValueKind::ratio || answer.kind == ValueKind::ratio) {
            return ratios(gold, answer);
        }
        return quantities(gold, answer);
    }

    Comparison quantities(const Value& gold, const Value& answer) const {
        const auto factor = conversion(answer.unit, gold.unit);
        if (!factor) {
            return {.sameness = Sameness::different, .has_other_unit = true};
        }
        const bool gold_has_percent = gold.expression.uses(Operation::percent);
        const bool answer_has_percent = answer.expression.uses(Operation::percent);
        const SignRules signs{
            .percent_may_be_missing = (gold_has_percent && !answer_has_percent) ||
                                      (answer_has_percent && rules_.gold_drops_percent),
            .degree_may_be_missing = (gold.expression.uses(Operation::degree) ||
                                      answer.expression.uses(Operation::degree)) &&
                                     !gold.unit.is_radian && !answer.unit.is_radian};
        const auto compare = [&](const Expression& expression) {
            if (*factor == 1) {
                return compare_expressions(gold.expression, expression, signs);
            }
            Expression scale;
            scale.nodes.push_back({.value = *factor});
            return compare_expressions(gold.expression, multiplied(expression, scale), signs);
        };
        Sameness sameness = compare(answer.expression);
        if (sameness != Sameness::same && answer.thousands && gold.expression.variables().empty()) {
            sameness = compare(*answer.thousands);
        }
        // "3 hours 30 minutes" where 210 is asked for.
        if (sameness != Sameness::same && answer.in_last_unit && gold.unit.words.empty()) {
            sameness = compare(*answer.in_last_unit);
        }
        return {.sameness = sameness};
    }

    Comparison ratios(const Value& gold, const Value& answer) const {
        if (gold.kind != answer.kind || gold.items.size() != answer.items.size()) {
            return different;
        }
        for (std::size_t i = 1; i < gold.items.size(); ++i) {
            const Sameness sameness = compare_expressions(
                multiplied(gold.items[0].expression, answer.items[i].expression),
                multiplied(answer.items[0].expression, gold.items[i].expression),
                {});
            if (sameness != Sameness::same) {
                return {.sameness = sameness};
            }
        }
        // 0:1 and 0:2 would pass, and 12:00 and 24:00.
        return to_comparison(quantities(gold.items[0], answer.items[0]).sameness ==
                                 Sameness::same ||
                             std::ranges::none_of(gold.items, is_zero));
    }

    static bool is_zero(const Value& value) { return real_value(value.expression) == 0.0L; }

    /// The base may be left out, and not be another one.
    static Comparison based(const Value& gold, const Value& answer) {
        if (gold.kind == answer.kind) {
            return to_comparison(gold.base == answer.base && gold.digits == answer.digits);
        }
        const Value& number = gold.kind == ValueKind::quantity ? gold : answer;
        const Value& digits = gold.kind == ValueKind::quantity ? answer : gold;
        if (number.kind != ValueKind::quantity || digits.digits.size() > 60) {
            return different;
        }
        const auto value = evaluate_exactly(number.expression, {}, {});
        mpz_class expected;
        const int base = gold.kind == ValueKind::quantity ? static_cast<int>(digits.base) : 10;
        if (!value || expected.set_str(digits.digits, base) != 0) {
            return different;
        }
        return to_comparison(*value == ExactComplex{Rational(expected), 0});
    }

    static bool is_order_free(const Value& value) {
        return value.brackets.empty() || value.brackets == "{}";
    }

    static bool is_tuple(const Value& value) {
        return value.kind == ValueKind::collection &&
               (value.brackets == "()" || value.brackets == "<>");
    }

    Comparison collections(const Value& gold, const Value& answer) const {
        if (gold.kind != answer.kind) {
            // {5} is 5.
            const Value& list = gold.kind == ValueKind::collection ? gold : answer;
            if (list.items.size() != 1 || !is_order_free(list)) {
                return all_equal(gold, answer);
            }
            return &list == &gold ? values(gold.items[0], answer) : values(gold, answer.items[0]);
        }
        if (is_order_free(gold)) {
            // A bare list may stand for a tuple. A set is none, and no interval between its
            // elements.
            const bool is_half_open = answer.brackets == "[)" || answer.brackets == "(]";
            if (is_half_open || (gold.brackets == "{}" && !is_order_free(answer))) {
                return different;
            }
            const bool are_named = has_distinct_names(gold);
            return are_named ? ordered(gold, answer) : unordered(gold.items, answer.items);
        }
        const bool fits = gold.brackets == answer.brackets ||
                          (is_tuple(gold) && (answer.brackets.empty() || is_tuple(answer)));
        return fits ? ordered(gold, answer) : different;
    }

    /// "42 and 42" is 42.
    Comparison all_equal(const Value& gold, const Value& answer) const {
        if (gold.kind == ValueKind::collection || !is_order_free(answer)) {
            return different;
        }
        return to_comparison(!answer.items.empty() &&
                             std::ranges::all_of(answer.items, [&](const Value& item) {
                                 return values(gold, item).sameness == Sameness::same;
                             }));
    }

    Comparison unordered(const std::vector<Value>& gold, const std::vector<Value>& answer) const {
        const auto covers = [this](const std::vector<Value>& golds,
                                   const std::vector<Value>& answers,
                                   bool is_reversed) {
            return std::ranges::all_of(golds, [&](const Value& one) {
                return std::ranges::any_of(answers, [&](const Value& other) {
                    return (is_reversed ? values(other, one) : values(one, other)).sameness ==
                           Sameness::same;
                });
            });
        };
        return to_comparison(covers(gold, answer, false) && covers(answer, gold, true));
    }

    static bool has_distinct_names(const Value& list) {
        const std::set<std::string> names(list.names.begin(), list.names.end());
        return list.names.size() == list.items.size() && names.size() == list.items.size() &&
               !names.contains("") && names.size() > 1;
    }

    static std::vector<std::size_t> order_of_names(const Value& list) {
        std::vector<std::size_t> order(list.items.size());
        std::iota(order.begin(), order.end(), 0U);
        std::ranges::sort(order, {}, [&](std::size_t i) { return list.names[i]; });
        return order;
    }

    /// Item by item; where both are named, by name; where one is, in either order.
    Comparison ordered(const Value& gold, const Value& answer) const {
        if (gold.items.size() != answer.items.size()) {
            return different;
        }
        std::vector<std::size_t> plain(gold.items.size());
        std::iota(plain.begin(), plain.end(), 0U);
        const bool gold_named = has_distinct_names(gold);
        const bool answer_named = has_distinct_names(answer);
        const auto matches = [&](const std::vector<std::size_t>& left,
                                 const std::vector<std::size_t>& right) {
            for (std::size_t i = 0; i < left.size(); ++i) {
                if (contents(gold.items[left[i]], answer.items[right[i]]).sameness !=
                    Sameness::same) {
                    return false;
                }
            }
            return true;
        };
        if (gold_named && answer_named) {
            std::vector<std::size_t> left = order_of_names(gold);
            std::vector<std::size_t> right = order_of_names(answer);
            for (std::size_t i = 0; i < left.size(); ++i) {
                if (gold.names[left[i]] != answer.names[right[i]]) {
                    return different;
                }
            }
            return to_comparison(matches(left, right));
        }
        return to_comparison(matches(plain, plain) ||
                             (answer_named && matches(plain, order_of_names(answer))) ||
                             (gold_named && matches(order_of_names(gold), plain)));
    }

    Comparison matrices(const Value& gold, const Value& answer) const {
        if (gold.kind == answer.kind) {
            return to_comparison(gold.brackets == answer.brackets &&
                                 gold.columns == answer.columns && same_items(gold, answer));
        }
        if (answer.kind == ValueKind::quantity) {
            return gold.brackets.empty() ? identity_multiple(gold, answer) : undecided;
        }
        const Value& matrix = gold.kind == ValueKind::matrix ? gold : answer;
        const Value& other = gold.kind == ValueKind::matrix ? answer : gold;
        if (const auto rows = as_matrix(other)) {
            return &other == &gold ? matrices(*rows, answer) : matrices(gold, *rows);
        }
        // A vector may be written as a tuple.
        const bool is_vector = matrix.columns == 1 || matrix.columns == matrix.items.size();
        return to_comparison(matrix.brackets.empty() && is_vector && is_tuple(other) &&
                             same_items(gold, answer));
    }

    /// A list of equally long lists.
    static std::optional<Value> as_matrix(const Value& list) {
        if (list.kind != ValueKind::collection || list.brackets.empty() || list.items.empty()) {
            return std::nullopt;
        }
        Value matrix{.kind = ValueKind::matrix, .columns = list.items.front().items.size()};
        for (const Value& row : list.items) {
            if (row.kind != ValueKind::collection || row.brackets.empty() ||
                row.items.size() != matrix.columns || matrix.columns == 0) {
                return std::nullopt;
            }
            matrix.items.insert(matrix.items.end(), row.items.begin(), row.items.end());
        }
        return matrix;
    }

    bool same_items(const Value& gold, const Value& answer) const {
        return std::ranges::equal(
            gold.items, answer.items, [this](const Value& left, const Value& right) {
                return contents(left, right).sameness == Sameness::same;
            });
    }

    /// "-I" for a matrix.
    static Comparison identity_multiple(const Value& gold, const Value& answer) {
        const std::vector<std::string> names = answer.expression.variables();
        if (names.size() != 1 || !names.front().starts_with('I') ||
            gold.columns * gold.columns != gold.items.size()) {
            return undecided;
        }
        for (std::size_t i = 0; i < gold.items.size(); ++i) {
            const bool is_diagonal = i / gold.columns == i % gold.columns;
            const auto expected = evaluate_exactly(
                answer.expression, {{names.front(), Rational(is_diagonal ? 1 : 0)}}, {});
            const auto found = evaluate_exactly(gold.items[i].expression, {}, {});
            if (!expected || !found || !(*expected == *found)) {
                return different;
            }
        }
        return same;
    }

    static std::optional<std::vector<RealInterval>> as_intervals(const Value& value) {
        if (value.kind == ValueKind::intervals) {
            return value.intervals;
        }
        const auto interval = as_interval(value);
        return interval ? std::optional(std::vector{*interval}) : std::nullopt;
    }

    static bool same_end(const std::optional<Expression>& gold,
                         const std::optional<Expression>& answer) {
        if (!gold || !answer) {
            return !gold && !answer;
        }
        return compare_expressions(*gold, *answer, {}) == Sameness::same;
    }

    Comparison intervals(const Value& gold, const Value& answer) const {
        const auto left = as_intervals(gold);
        const auto right = as_intervals(answer);
        if (!left || !right) {
            return different;
        }
        if (!gold.label.empty() && !answer.label.empty() && gold.label != answer.label) {
            return different;
        }
        return to_comparison(std::ranges::equal(
            *left, *right, [](const RealInterval& one, const RealInterval& other) {
                return one.has_low == other.has_low && one.has_high == other.has_high &&
                       same_end(one.low, other.low) && same_end(one.high, other.high);
            }));
    }

    ComparisonRules rules_;
};

}  // namespace

Comparison compare_values(const Value& gold, const Value& answer, const ComparisonRules& rules) {
    return Comparer(rules).values(gold, answer);
}

}  // namespace anamnesis::eval::grading
