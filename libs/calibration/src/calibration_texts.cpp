// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/calibration/calibration_texts.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::calibration {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::size_t count_predictions(const std::vector<language::SupervisedText>& texts) {
    std::size_t count = 0;
    for (const language::SupervisedText& text : texts) {
        count += static_cast<std::size_t>(
            std::count_if(text.labels.begin() + 1, text.labels.end(), [](std::int64_t label) {
                return label != language::unsupervised;
            }));
    }
    return count;
}

CalibrationTexts describe_texts(std::vector<language::SupervisedText> texts, std::string source) {
    Sha256 digest;
    std::size_t tokens = 0;
    for (const language::SupervisedText& text : texts) {
        digest.update(std::as_bytes(std::span(text.ids)));
        digest.update(std::as_bytes(std::span(text.labels)));
        tokens += text.ids.size();
    }
    CalibrationTexts described;
    described.description =
        Json::Object{{"source", std::move(source)},
                     {"tokens_sha256", digest.finish()},
                     {"texts", std::uint64_t{texts.size()}},
                     {"tokens", std::uint64_t{tokens}},
                     {"predicted_tokens", std::uint64_t{count_predictions(texts)}}};
    described.texts = std::move(texts);
    return described;
}

void require_two_sides(const CalibrationTexts& recall, const CalibrationTexts& chains) {
    if (recall.description.at("tokens_sha256") == chains.description.at("tokens_sha256")) {
        throw Error(ErrorKind::usage,
                    "the texts of recall and of reasoning are the same texts: what each needs "
                    "cannot be told apart");
    }
}

CalibrationTexts read_calibration_texts(const fs::path& path,
                                        const checkpoint::Checkpoint& checkpoint,
                                        const std::optional<fs::path>& tokenizer) {
    const fs::path folder = tokenizer.value_or(checkpoint.folder());
    std::optional<language::Tokenizer> opened;
    if (tokenizer || language::Tokenizer::is_in(folder)) {
        opened = language::Tokenizer::open(folder);
    }
    std::optional<language::ChatTemplate> chat;
    language::SupervisionRules rules{.tokenizer = opened ? &*opened : nullptr,
                                     .chat = [&]() -> const language::ChatTemplate& {
                                         if (!chat) {
                                             chat = language::ChatTemplate::open(folder);
                                         }
                                         return *chat;
                                     },
                                     .writes_exchanges_as_chats = false};
    if (const auto ends = language::end_of_text_tokens(checkpoint.folder(), checkpoint.config());
        !ends.empty()) {
        rules.end_of_text = ends.front();
    }
    std::vector<language::SupervisedText> texts = language::read_supervised_lines(path, rules);
    for (const language::SupervisedText& text : texts) {
        if (!text.weights.empty()) {
            throw Error(ErrorKind::unsupported,
                        format("{}: row {} has 'weights', and in a calibration every prediction "
                               "counts alike; leave them out",
                               in_quotes(path.string()),
                               in_quotes(text.id)));
        }
    }
    return describe_texts(std::move(texts), path.string());
}

}  // namespace anamnesis::calibration
