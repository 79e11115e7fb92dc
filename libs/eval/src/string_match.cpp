// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/string_match.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/unicode.hpp"

namespace anamnesis::eval {
namespace {

std::ptrdiff_t matches(std::string_view prediction, std::span<const std::string> references) {
    const std::string lower = python_lower(prediction);
    return std::ranges::count_if(references, [&](const std::string& reference) {
        return lower.find(python_lower(reference)) != std::string::npos;
    });
}

}  // namespace

std::string ruler_postprocess(std::string_view prediction) {
    std::string text(python_strip(prediction));
    std::ranges::replace_if(text, [](char c) { return c >= 0 && c < 0x20; }, '\n');
    return std::string(python_strip(text));
}

double string_match_all(std::string_view prediction, std::span<const std::string> references) {
    if (references.empty()) {
        return 0.0;
    }
    return static_cast<double>(matches(prediction, references)) /
           static_cast<double>(references.size());
}

double string_match_part(std::string_view prediction, std::span<const std::string> references) {
    return matches(prediction, references) > 0 ? 1.0 : 0.0;
}

double ruler_percent(double mean) {
    // Python rounds the exact binary value, ties to even: so does the printing of two decimals.
    const std::string text = format("{:.2f}", mean * 100.0);
    double rounded = 0.0;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
}

}  // namespace anamnesis::eval
