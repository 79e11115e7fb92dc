// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace anamnesis::eval::grading {

/// One \boxed{…}: places in the text.
struct Box {
    std::size_t begin = 0;  ///< of the command
    std::size_t end = 0;    ///< after the closing brace
    std::string_view content;
};

struct Boxes {
    std::vector<Box> closed;  ///< outermost ones, in order
    bool has_open = false;    ///< the text ends inside one
};

/// All boxes of a text, "\boxed 5", "\fbox{5}" and "boxed{5}" too. Braces are counted in one pass.
Boxes find_boxes(std::string_view text);

/// The boxes at the end that are one answer: between them are only words such as "and" and
/// labels such as "x =".
std::vector<Box> last_group(std::string_view text, const std::vector<Box>& boxes);

}  // namespace anamnesis::eval::grading
