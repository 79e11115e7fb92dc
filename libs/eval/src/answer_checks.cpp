// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/answer_checks.hpp"

#include <cstddef>
#include <string_view>

namespace anamnesis::eval {

bool is_degenerate(std::string_view text) {
    constexpr std::size_t shortest = 24;
    constexpr std::size_t longest_period = 24;
    constexpr std::size_t repeats = 4;
    if (text.size() < shortest) {
        return false;
    }
    for (std::size_t period = 1; period <= longest_period; ++period) {
        if (text.size() < repeats * period) {
            break;
        }
        // The beginning may differ: loops are fallen into.
        const std::string_view tail = text.substr(text.size() / 4);
        std::size_t same = 0;
        for (std::size_t i = period; i < tail.size(); ++i) {
            same += tail[i] == tail[i - period] ? 1U : 0U;
        }
        if (tail.size() > period && 10 * same >= 9 * (tail.size() - period)) {
            return true;
        }
    }
    return false;
}

}  // namespace anamnesis::eval
