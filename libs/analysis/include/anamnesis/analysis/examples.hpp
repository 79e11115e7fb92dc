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
    std::size_t most_tokens = 8192;   ///< longer texts are cut after as many
    std::size_t most_examples = 0;    ///< 0: all
    bool supervises_prompts = false;  ///< the loss is on every token, not on responses alone
};

/// Reads training examples from JSON lines, in every form that `train` takes
/// (`language::read_supervised_row`). Conversations are written in the chat template, which
/// `open_template` is asked for at the first of them; prompt and response follow one another as
/// they are. A text ends with its last supervised token.
/// Errors: `malformed`, naming file and line, for other lines; `mismatch` where no example is left;
///         `unsupported` for `weights`, since every prediction counts alike here; what
///         `open_template` throws.
std::vector<Example> read_examples(const std::filesystem::path& path,
                                   const language::Tokenizer& tokenizer,
                                   const std::function<language::ChatTemplate()>& open_template,
                                   const ExampleOptions& options);

}  // namespace anamnesis::analysis
