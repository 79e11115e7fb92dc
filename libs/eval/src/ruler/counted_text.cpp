// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/counted_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {
namespace {

constexpr bool is_graphic(char c) {
    return c > ' ' && c <= '~';
}

/// A single space between two printing ASCII characters.
bool is_cut(std::string_view text, std::size_t at) {
    return text[at] == ' ' && at > 0 && at + 1 < text.size() && is_graphic(text[at - 1]) &&
           is_graphic(text[at + 1]);
}

}  // namespace

CountedText::CountedText(std::string text, const TokenCounter& counter) : text_(std::move(text)) {
    if (text_.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(ErrorKind::exhausted,
                    format("a haystack of {} is above 4 GB", human_bytes(text_.size())));
    }
    if (!counter.cuts_before_spaces) {
        return;
    }
    const std::string_view whole = text_;
    std::uint32_t tokens = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        if (!is_cut(whole, at)) {
            continue;
        }
        if (!cuts_.empty()) {
            const std::string_view part = whole.substr(cuts_.back(), at - cuts_.back());
            tokens += static_cast<std::uint32_t>(counter.count(part));
        }
        cuts_.push_back(static_cast<std::uint32_t>(at));
        tokens_.push_back(tokens);
    }
}

CountedText::Part CountedText::counted_within(std::size_t begin, std::size_t end) const {
    // The characters on both sides of a cut must belong to the range.
    const auto first = std::ranges::upper_bound(cuts_, begin);
    const auto after = std::ranges::lower_bound(cuts_, end == 0 ? 0 : end - 1);
    if (first >= after) {
        return {.begin = begin, .end = begin, .tokens = 0};
    }
    const auto last = after - 1;
    const auto tokens_at = [&](auto cut) {
        return tokens_[static_cast<std::size_t>(cut - cuts_.begin())];
    };
    return {.begin = *first, .end = *last, .tokens = tokens_at(last) - tokens_at(first)};
}

std::size_t count_tokens(std::span<const PromptPart> parts, const TokenCounter& counter) {
    std::size_t tokens = 0;
    std::string uncounted;
    for (const PromptPart& part : parts) {
        std::size_t done = 0;
        if (part.whole != nullptr) {
            const auto begin =
                static_cast<std::size_t>(part.text.data() - part.whole->text().data());
            const auto known = part.whole->counted_within(begin, begin + part.text.size());
            if (known.end > known.begin) {
                uncounted += part.text.substr(0, known.begin - begin);
                tokens += counter.count(uncounted) + known.tokens;
                uncounted.clear();
                done = known.end - begin;
            }
        }
        uncounted += part.text.substr(done);
    }
    return tokens + counter.count(uncounted);
}

}  // namespace anamnesis::eval
