// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/lm_eval_rules.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/eval/grading/task.hpp"

#include "grading/characters.hpp"
#include "grading/replace_text.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr std::string_view invalid = "[invalid]";

bool is_number_character(char c) {
    return is_digit(c) || c == '.' || c == ',';
}

std::size_t run_length(std::string_view text, std::size_t position, bool with_dollar) {
    std::size_t length = 0;
    while (position + length < text.size() && (is_number_character(text[position + length]) ||
                                               (with_dollar && text[position + length] == '$'))) {
        ++length;
    }
    return length;
}

/// The first number after `opening`; `needs_end`: one more character of the line follows it.
std::string first_after(std::string_view text, std::string_view opening, bool needs_end) {
    for (std::size_t at = text.find(opening); at != std::string_view::npos;
         at = text.find(opening, at + 1)) {
        const std::size_t begin = at + opening.size();
        const std::size_t sign = begin < text.size() && text[begin] == '-' ? 1 : 0;
        std::size_t length = run_length(text, begin + sign, false);
        const std::size_t end = begin + sign + length;
        if (needs_end && (end >= text.size() || text[end] == '\n')) {
            length -= length > 0 ? 1 : 0;
        }
        if (length > 0) {
            return std::string(text.substr(begin, sign + length));
        }
    }
    return std::string(invalid);
}

std::string comparable(std::string_view original) {
    std::string text = replaced(replaced(original, ",", ""), "$", "");
    if (const std::size_t marks = text.rfind("#### "); marks != std::string::npos) {
        text.erase(0, marks + 5);
    }
    if (text.ends_with('.')) {
        text.pop_back();
    } else if (text.ends_with(".\n")) {
        text.erase(text.size() - 2, 1);
    }
    return lower(text);
}

bool hendrycks_equal(const std::string& answer, std::string_view gold) {
    const auto left = hendrycks_strip(answer);
    const auto right = hendrycks_strip(gold);
    return left && right ? *left == *right : answer == gold;
}

std::string between_dollars(std::string_view response) {
    const std::size_t first = response.find('$');
    const std::size_t last = response.rfind('$');
    return first == last ? std::string(response)
                         : std::string(response.substr(first + 1, last - first - 1));
}

/// Without the command; empty where lm-eval's assertion fails and the box is passed over.
std::optional<std::string> remove_boxed(const std::string& box) {
    if (box.find("\\boxed ") != std::string::npos) {
        return box.starts_with("\\boxed ") ? std::optional(box.substr(7)) : std::nullopt;
    }
    return box.starts_with("\\boxed{") && box.ends_with('}')
               ? std::optional(box.substr(7, box.size() - 8))
               : std::nullopt;
}

}  // namespace

std::string gsm8k_strict_extract(std::string_view response) {
    return first_after(response, "#### ", false);
}

std::string gsm8k_cot_strict_extract(std::string_view response) {
    return first_after(response, "The answer is ", true);
}

std::string gsm8k_flexible_extract(std::string_view response) {
    std::string_view last = invalid;
    for (std::size_t i = 0; i < response.size();) {
        const std::size_t sign = response[i] == '-' ? 1 : 0;
        const std::size_t wide = run_length(response, i + sign, true);
        const bool is_digit_alone = wide == 1 && is_digit(response[i + sign]);
        if (wide >= 2 || is_digit_alone) {
            last = response.substr(i, sign + wide);
            i += sign + wide;
        } else {
            ++i;
        }
    }
    return std::string(last);
}

bool gsm8k_equal(std::string_view gold, std::string_view extracted) {
    return comparable(gold) == comparable(extracted);
}

LmEvalVerdicts lm_eval_verdicts(ReasoningTask task,
                                std::string_view gold,
                                std::string_view response) {
    LmEvalVerdicts verdicts;
    std::string answer = between_dollars(response);
    verdicts.hendrycks = hendrycks_equal(answer, gold);
    if (const auto box = hendrycks_last_boxed(response)) {
        answer = remove_boxed(*box).value_or(answer);
    }
    verdicts.aime = hendrycks_equal(answer, gold);
    const std::string minerva = minerva_normalise(minerva_extract(response));
    verdicts.minerva_text = !minerva.empty() && minerva == minerva_normalise(gold);
    if (task == ReasoningTask::gsm8k) {
        verdicts.gsm8k_strict = gsm8k_equal(gold, gsm8k_strict_extract(response));
        verdicts.gsm8k_flexible = gsm8k_equal(gold, gsm8k_flexible_extract(response));
        verdicts.gsm8k_cot_strict = gsm8k_equal(gold, gsm8k_cot_strict_extract(response));
    }
    return verdicts;
}

}  // namespace anamnesis::eval::grading
