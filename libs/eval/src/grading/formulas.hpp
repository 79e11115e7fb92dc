// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval::grading {

/// Mathematics between delimiters in a sentence.
struct Formula {
    std::size_t begin = 0;  ///< the place of its first delimiter
    std::size_t end = 0;    ///< the place after its last one
    std::string_view content;
};

/// "$…$" and "\(…\)". Signs of money are escaped.
std::vector<Formula> find_formulas(std::string_view sentence);

/// The last formula, or, where that one only says when ("$x$ is $3$ when $y = 2$"), the one before
/// that is stated.
std::size_t find_stated_formula(std::string_view sentence, const std::vector<Formula>& formulas);

/// The formulas that hang together around one of them, with what a unit after them says.
std::string joined_formulas(std::string_view sentence,
                            const std::vector<Formula>& formulas,
                            std::size_t chosen);

}  // namespace anamnesis::eval::grading
