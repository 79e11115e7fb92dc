// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/run.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/run_folder.hpp"

namespace anamnesis::eval {
namespace {

using LinesById = std::unordered_map<std::string, const Json*>;

/// What other parts of the run hold of a checkpoint.
LinesById find_elsewhere(const RunFolder& folder, const std::string& checkpoint) {
    LinesById lines;
    for (const Json& line : folder.lines_of_other_parts()) {
        if (line.at("checkpoint").as_string("'checkpoint'") == checkpoint) {
            lines.emplace(line.at("id").as_string("'id'"), &line);
        }
    }
    return lines;
}

}  // namespace

RunProgress run_items(BackEnd& back_end,
                      const std::string& checkpoint,
                      const NextItem& next,
                      RunFolder& folder,
                      const Shard& shard,
                      const RunListener& listener,
                      const std::stop_token& cancel) {
    RunProgress progress;
    std::unordered_set<std::string> done;
    for (const Json& line : folder.results().lines()) {
        if (line.at("checkpoint").as_string("'checkpoint'") == checkpoint) {
            done.insert(line.at("id").as_string("'id'"));
            ++progress.found;
            listener.on_result(line, false);
        }
    }
    const LinesById elsewhere = find_elsewhere(folder, checkpoint);
    // What was asked and not answered yet.
    std::unordered_map<std::string, std::function<Json(const Answer&)>> judges;
    std::size_t number = 0;
    const auto next_question = [&]() -> std::optional<Question> {
        while (std::optional<Item> item = next()) {
            if (!shard.takes(number++) || done.contains(item->question.id)) {
                continue;
            }
            if (const auto found = elsewhere.find(item->question.id); found != elsewhere.end()) {
                ++progress.found;
                listener.on_result(*found->second, false);
                continue;
            }
            const bool is_new = judges.emplace(item->question.id, std::move(item->judge)).second;
            ANAMNESIS_CHECK(is_new, "two questions of one id");
            return std::move(item->question);
        }
        return std::nullopt;
    };
    const auto answered = [&](const Question& question, const Answer& answer) {
        const auto judge = judges.extract(question.id);
        Json line = Json::Object{{"checkpoint", checkpoint}, {"id", question.id}};
        const Json verdict = judge.mapped()(answer);
        for (const auto& [key, value] : verdict.as_object("a result")) {
            line.set(key, value);
        }
        folder.results().append(line);
        ++progress.answered;
        listener.on_result(line, true);
    };
    const auto failed = [&](const Question& question, const std::string& reason) {
        judges.erase(question.id);
        progress.failures.push_back(format("{}: {}", question.id, reason));
        listener.on_failure(progress.failures.back());
    };
    back_end.answer(next_question,
                    {.answered = answered, .failed = failed, .troubled = listener.on_trouble},
                    cancel);
    folder.results().sync();
    return progress;
}

}  // namespace anamnesis::eval
