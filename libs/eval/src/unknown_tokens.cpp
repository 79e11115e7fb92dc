// SPDX-License-Identifier: Apache-2.0
#include "unknown_tokens.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {
namespace {

constexpr const char* field = "unknown_tokens";
constexpr const char* remedy = "ask in words that the tokenizer has, or give the model's own one";

UnknownTokens& find_figures(std::vector<UnknownTokens>& all, const std::string& checkpoint) {
    const auto found = std::ranges::find(all, checkpoint, &UnknownTokens::checkpoint);
    return found != all.end() ? *found : all.emplace_back(UnknownTokens{.checkpoint = checkpoint});
}

std::string make_sentence(const UnknownTokens& figures) {
    return format(
        "{} of {} prompts hold text that the tokenizer has no token for ({} unknown "
        "tokens): their scores say little of the model",
        figures.with_unknown,
        figures.prompts,
        figures.unknown);
}

}  // namespace

NextItem with_unknown_tokens(NextItem next, const language::Tokenizer& tokenizer) {
    const std::optional<language::TokenId> unknown = tokenizer.unknown_token();
    if (!unknown) {
        return next;
    }
    return [next = std::move(next), &tokenizer, unknown = *unknown]() -> std::optional<Item> {
        std::optional<Item> item = next();
        if (!item) {
            return item;
        }
        const Question& question = item->question;
        const auto count = static_cast<std::uint64_t>(
            std::ranges::count(tokenizer.encode(question.input + question.answer_prefix), unknown));
        if (count > 0) {
            item->judge = [judge = std::move(item->judge), count](const Answer& answer) {
                Json line = judge(answer);
                line.set(field, count);
                return line;
            };
        }
        return item;
    };
}

std::vector<UnknownTokens> find_unknown_tokens(const RunRecord& run) {
    constexpr std::size_t most_shown = 3;
    std::vector<UnknownTokens> all;
    for (const Json& line : run.results) {
        UnknownTokens& figures = find_figures(all, line.at("checkpoint").as_string("'checkpoint'"));
        ++figures.prompts;
        if (const Json* count = line.find(field)) {
            ++figures.with_unknown;
            figures.unknown += count->as_unsigned(field);
            if (figures.first.size() < most_shown) {
                figures.first.push_back(line.at("id").as_string("'id'"));
            }
        }
    }
    std::erase_if(all, [](const UnknownTokens& figures) { return figures.with_unknown == 0; });
    return all;
}

Json unknown_tokens_json(const std::vector<UnknownTokens>& found) {
    Json list = Json::array();
    for (const UnknownTokens& figures : found) {
        Json examples = Json::array();
        for (const std::string& id : figures.first) {
            examples.push_back(id);
        }
        list.push_back(Json::Object{{"code", field},
                                    {"severity", "warning"},
                                    {"where", figures.checkpoint},
                                    {"count", std::uint64_t{figures.with_unknown}},
                                    {"examples", std::move(examples)},
                                    {"sentence", make_sentence(figures)},
                                    {"remedy", remedy}});
    }
    return list;
}

std::string unknown_tokens_text(const std::vector<UnknownTokens>& found) {
    std::string text;
    for (const UnknownTokens& figures : found) {
        text += format("warning: {}: {}; {}\n", figures.checkpoint, make_sentence(figures), remedy);
    }
    return text;
}

void add_unknown_tokens(report::Document& document, const std::vector<UnknownTokens>& found) {
    for (const UnknownTokens& figures : found) {
        document.blocks.emplace_back(report::Paragraph{
            format("Warning: {}: {}; {}.", figures.checkpoint, make_sentence(figures), remedy)});
    }
}

}  // namespace anamnesis::eval
