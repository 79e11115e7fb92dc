// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::analysis {

struct Example {
    std::string id;  ///< the line's own `id`, else its number from 1
    LabelledText text;
};

struct ExampleOptions {
    std::size_t most_tokens = 8192;   ///< longer texts are cut behind as many
    std::size_t most_examples = 0;    ///< 0: all
    bool supervises_prompts = false;  ///< the loss is on every token, not on responses alone
};

/// Reads training examples from JSON lines, one of three forms a line:
///
///  1. `messages` [{role, content}…]: in the chat template; the loss is on what assistants say,
///     with the tokens that end their turn;
///  2. `prompt`, `response`: one after the other; the loss is on the response;
///  3. `text`: the loss is on all of it.
///
/// Lines that are left without a prediction (a prompt that fills `most_tokens`) are skipped.
/// `open_template` is asked at the first line of form 1.
/// Errors: `malformed`, naming file and line, for other lines; `mismatch` where no example is left;
///         what `open_template` throws.
std::vector<Example> read_examples(const std::filesystem::path& path,
                                   const language::Tokenizer& tokenizer,
                                   const std::function<language::ChatTemplate()>& open_template,
                                   const ExampleOptions& options);

}  // namespace anamnesis::analysis
