// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace anamnesis::eval::grading {

template <std::size_t Count>
using WordList = std::array<std::string_view, Count>;

template <std::size_t Count>
constexpr bool contains(const WordList<Count>& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

}  // namespace anamnesis::eval::grading
