// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

/// What an <answer> tag encloses.
struct TaggedAnswer {
    std::string_view text;
    bool is_open = false;  ///< the text ends before the closing tag
};

/// A text up to the end of its turn ("<|im_end|>", "</s>"), where an engine wrote that out.
std::string_view without_end_of_text(std::string_view text);

/// The last <answer>…</answer> that encloses something; upper case, attributes and
/// <final_answer>, <solution>, <result> and [ANSWER] are taken too. One that never closes reaches
/// to the end: servers leave out the closing tag where it is a stop word.
std::optional<TaggedAnswer> find_tagged_answer(std::string_view text);

/// The value of `answer` or `final_answer` of a JSON object, alone, in a code block, or last in the
/// text. A list gives its items with commas between them.
std::optional<std::string> find_json_answer(std::string_view text);

}  // namespace anamnesis::eval::grading
