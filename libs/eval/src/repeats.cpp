// SPDX-License-Identifier: Apache-2.0
#include "repeats.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/divergence.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view ending = "/again";

std::string make_key(const Json& line) {
    std::string id = line.at("id").as_string("'id'");
    if (id.ends_with(ending)) {
        id.resize(id.size() - ending.size());
    }
    return line.at("checkpoint").as_string("'checkpoint'") + "\n" + id;
}

std::vector<std::string> read_tokens(const Json& line) {
    std::vector<std::string> tokens;
    for (const Json& token : line.at("tokens").as_array("'tokens'")) {
        tokens.push_back(token.as_string("a token"));
    }
    return tokens;
}

RepeatFigures& find_figures(std::vector<RepeatFigures>& all, const std::string& checkpoint) {
    for (RepeatFigures& figures : all) {
        if (figures.checkpoint == checkpoint) {
            return figures;
        }
    }
    return all.emplace_back(RepeatFigures{.checkpoint = checkpoint});
}

}  // namespace

NextItem repeat_items(NextItem next) {
    return [next = std::move(next)]() -> std::optional<Item> {
        std::optional<Item> item = next();
        if (item) {
            item->question.id += ending;
            item->question.cache = CacheUse::allowed;
            item->judge = [judge = std::move(item->judge)](const Answer& answer) {
                Json line = judge(answer);
                line.set("again", true);
                return line;
            };
        }
        return item;
    };
}

NextItem with_tokens(NextItem next, const language::Tokenizer& tokenizer) {
    return [next = std::move(next), &tokenizer]() -> std::optional<Item> {
        std::optional<Item> item = next();
        if (item) {
            item->judge = [judge = std::move(item->judge), &tokenizer](const Answer& answer) {
                Json line = judge(answer);
                Json tokens = Json::array();
                for (std::string& token : split_into_tokens(tokenizer, answer.text)) {
                    tokens.push_back(std::move(token));
                }
                line.set("tokens", std::move(tokens));
                return line;
            };
        }
        return item;
    };
}

std::vector<RepeatFigures> compare_repeats(const RunRecord& run) {
    std::unordered_map<std::string, const Json*> firsts;
    for (const Json& line : run.results) {
        if (!run.repeats.empty()) {
            firsts.emplace(make_key(line), &line);
        }
    }
    std::vector<RepeatFigures> all;
    for (const Json& line : run.repeats) {
        const auto first = firsts.find(make_key(line));
        if (first == firsts.end()) {
            continue;
        }
        RepeatFigures& figures = find_figures(all, line.at("checkpoint").as_string("'checkpoint'"));
        ++figures.pairs;
        auto divergence = find_divergence(read_tokens(*first->second), read_tokens(line));
        if (!divergence) {
            continue;
        }
        ++figures.differing;
        if (!figures.first || divergence->token < figures.first->token) {
            figures.first = std::move(divergence);
            figures.first_id = first->second->at("id").as_string("'id'");
        }
    }
    return all;
}

Json repeats_json(const std::vector<RepeatFigures>& repeats) {
    Json list = Json::array();
    for (const RepeatFigures& figures : repeats) {
        Json first;
        if (figures.first) {
            first = Json::Object{{"id", figures.first_id},
                                 {"token", std::uint64_t{figures.first->token}},
                                 {"first", figures.first->first},
                                 {"second", figures.first->second}};
        }
        list.push_back(Json::Object{{"checkpoint", figures.checkpoint},
                                    {"pairs", std::uint64_t{figures.pairs}},
                                    {"differing", std::uint64_t{figures.differing}},
                                    {"first_divergence", std::move(first)}});
    }
    return list;
}

std::string repeats_text(const std::vector<RepeatFigures>& repeats) {
    std::string text;
    for (const RepeatFigures& figures : repeats) {
        text += format("{}: {} of {} answers differ when asked twice",
                       figures.checkpoint,
                       figures.differing,
                       figures.pairs);
        text +=
            figures.first
                ? format("; the earliest in {}, {}\n", figures.first_id, to_text(*figures.first))
                : "\n";
    }
    return text;
}

void add_repeats(report::Document& document, const std::vector<RepeatFigures>& repeats) {
    if (repeats.empty()) {
        return;
    }
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "The same questions asked twice"});
    report::Table table{
        .caption =
            "Answers that differ say that the engine does not compute the same twice, or "
            "goes on from a wrong state; the weights are not to blame for them. Token: how "
            "many tokens two answers share at least before they part",
        .columns = {"checkpoint", "pairs", "differ", "token", "first", "second", "sample"},
        .is_number = {false, true, true, true, false, false, false},
        .rows = {}};
    for (const RepeatFigures& figures : repeats) {
        const Divergence first = figures.first.value_or(Divergence{});
        table.rows.push_back({figures.checkpoint,
                              format("{}", figures.pairs),
                              format("{}", figures.differing),
                              figures.first ? format("{}", first.token) : "",
                              first.first,
                              first.second,
                              figures.first_id});
    }
    document.blocks.emplace_back(std::move(table));
}

}  // namespace anamnesis::eval
