// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/examples.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::analysis {
namespace {

Example make_example(language::SupervisedText text, const std::filesystem::path& path) {
    if (!text.weights.empty()) {
        throw Error(ErrorKind::unsupported,
                    format("{}: example {} has 'weights', and here every prediction counts alike",
                           in_quotes(path.string()),
                           in_quotes(text.id)));
    }
    // What follows the last supervised token has no part in the loss.
    while (text.labels.back() == unsupervised) {
        text.ids.pop_back();
        text.labels.pop_back();
    }
    return {.id = std::move(text.id),
            .text = {.ids = std::move(text.ids), .labels = std::move(text.labels)}};
}

}  // namespace

std::vector<Example> read_examples(const std::filesystem::path& path,
                                   const language::Tokenizer& tokenizer,
                                   const std::function<language::ChatTemplate()>& open_template,
                                   const ExampleOptions& options) {
    std::optional<language::ChatTemplate> chat;
    const language::SupervisionRules rules{.tokenizer = &tokenizer,
                                           .chat = [&]() -> const language::ChatTemplate& {
                                               if (!chat) {
                                                   chat = open_template();
                                               }
                                               return *chat;
                                           },
                                           .writes_exchanges_as_chats = false,
                                           .supervises_prompts = options.supervises_prompts,
                                           .longest = options.most_tokens};
    std::vector<Example> examples;
    for (language::SupervisedText& text :
         language::read_supervised_lines(path, rules, options.most_examples)) {
        examples.push_back(make_example(std::move(text), path));
    }
    return examples;
}

}  // namespace anamnesis::analysis
