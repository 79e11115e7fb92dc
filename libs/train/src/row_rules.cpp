// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/row_rules.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/row_selection.hpp"

namespace anamnesis::train {
namespace {

using checkpoint::RowRange;

double parse_rate(std::string_view text, std::string_view whole) {
    double number = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number) ||
        number < 0.0) {
        throw Error(ErrorKind::usage,
                    format("{} ends in no number of at least 0; expected SELECTION=NUMBER",
                           in_quotes(whole)));
    }
    return number;
}

}  // namespace

RowRules make_row_rules(const checkpoint::Checkpoint& checkpoint,
                        const checkpoint::Model& model,
                        const RuleWords& words) {
    RowRules rules;
    const auto add_rule = [&](std::string_view selection, const RowRule& rule, bool is_anchor) {
        const auto rows = checkpoint::select_rows(
            checkpoint, model, checkpoint::parse_row_selection(selection), selection);
        for (const auto& [name, ranges] : rows) {
            for (const RowRange& range : ranges) {
                std::vector<RowRule>& of_tensor = rules[name];
                RowRule* same = nullptr;
                for (RowRule& other : of_tensor) {
                    if (other.rows == range) {
                        same = &other;
                    } else if (other.rows.begin < range.end && range.begin < other.rows.end) {
                        throw Error(
                            ErrorKind::usage,
                            format("rows of {} are selected twice, in part", in_quotes(name)));
                    }
                }
                if (same == nullptr) {
                    same = &of_tensor.emplace_back(RowRule{.rows = range});
                }
                double& value = is_anchor ? same->anchor : same->rate;
                if (value != (is_anchor ? 0.0 : 1.0)) {
                    throw Error(ErrorKind::usage, format("{} is selected twice", in_quotes(name)));
                }
                value = is_anchor ? rule.anchor : rule.rate;
            }
        }
    };
    const auto add_pairs = [&](const std::vector<std::string>& all, bool is_anchor) {
        for (const std::string& word : all) {
            const std::size_t equals = std::min(word.rfind('='), word.size());
            const double number =
                parse_rate(std::string_view(word).substr(std::min(equals + 1, word.size())), word);
            add_rule(std::string_view(word).substr(0, equals),
                     is_anchor ? RowRule{.anchor = number} : RowRule{.rate = number},
                     is_anchor);
        }
    };
    for (const std::string& selection : words.frozen) {
        add_rule(selection, {.rate = 0.0}, false);
    }
    add_pairs(words.rates, false);
    add_pairs(words.anchors, true);
    return rules;
}

void require_learning(const checkpoint::Checkpoint& checkpoint, const RowRules& rules) {
    const auto learns = [&](const checkpoint::TensorEntry& tensor) {
        const auto found = rules.find(tensor.name);
        std::uint64_t frozen = 0;
        if (found != rules.end()) {
            for (const RowRule& rule : found->second) {
                frozen += rule.rate == 0.0 ? rule.rows.size() : 0;
            }
        }
        return frozen < tensor.rows();
    };
    if (std::ranges::none_of(checkpoint.tensors(), learns)) {
        throw Error(ErrorKind::usage, "--freeze and --lr-scale leave nothing to learn");
    }
}

}  // namespace anamnesis::train
