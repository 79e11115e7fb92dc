// SPDX-License-Identifier: Apache-2.0
#include "join_runs.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/run_folder.hpp"

namespace anamnesis::eval {
namespace {

/// Settings that say how much is asked, not what.
constexpr std::array<std::string_view, 9> amounts{
    "tasks", "lengths", "samples", "left_out", "twice", "comparable", "problems", "k", "logprobs"};

bool asks_the_same(const Json& first, const Json& second) {
    const auto holds = [&](const Json& one, const Json& other) {
        return std::ranges::all_of(one.as_object("settings"), [&](const auto& entry) {
            const Json* value = other.find(entry.first);
            const bool is_amount = std::ranges::find(amounts, entry.first) != amounts.end();
            return is_amount || (value != nullptr && value->dump() == entry.second.dump());
        });
    };
    return holds(first, second) && holds(second, first);
}

/// What a checkpoint of the second run is called beside those of the first.
std::string tell_apart(const Json& taken_names,
                       const std::string& checkpoint,
                       const std::string& second_name) {
    return taken_names.find(checkpoint) == nullptr ? checkpoint
                                                   : format("{} ({})", checkpoint, second_name);
}

void rename(std::vector<Json>& lines,
            const Json& taken_names,
            const std::string& second_name,
            bool is_same) {
    for (Json& line : lines) {
        line.set(
            "checkpoint",
            tell_apart(taken_names, line.at("checkpoint").as_string("'checkpoint'"), second_name));
        if (!is_same) {
            line.set("id", format("{} of {}", line.at("id").as_string("'id'"), second_name));
        }
    }
}

/// The union of two lists, in their order.
Json unite(const Json& first, const Json& second) {
    Json all = first;
    for (const Json& value : second.as_array("a setting")) {
        const bool is_known =
            std::ranges::any_of(all.as_array("a setting"),
                                [&](const Json& other) { return other.dump() == value.dump(); });
        if (!is_known) {
            all.push_back(value);
        }
    }
    return all;
}

Json join_settings(const Json& first, const Json& second, const std::string& second_name) {
    Json settings = first;
    for (const auto& [key, value] : second.as_object("settings")) {
        const Json* known = first.find(key);
        if (known != nullptr && known->is_array() && value.is_array()) {
            settings.set(key, unite(*known, value));
        } else if (known == nullptr || known->dump() != value.dump()) {
            settings.set(format("{} ({})", key, second_name), value);
        }
    }
    return settings;
}

}  // namespace

RunRecord join_runs(RunRecord first, RunRecord second, const std::string& second_name) {
    const bool is_same = asks_the_same(first.settings, second.settings);
    const Json taken = first.checkpoints;
    rename(second.results, taken, second_name, is_same);
    rename(second.repeats, taken, second_name, is_same);
    first.settings = join_settings(first.settings, second.settings, second_name);
    for (const auto& [name, what] : second.checkpoints.as_object("checkpoints")) {
        first.checkpoints.set(tell_apart(taken, name, second_name), what);
    }
    for (RunPlan& plan : second.plans) {
        for (std::string& name : plan.checkpoints) {
            name = tell_apart(taken, name, second_name);
        }
    }
    const auto append = [](auto& lines, auto& more) {
        lines.insert(lines.end(),
                     std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
    };
    append(first.results, second.results);
    append(first.repeats, second.repeats);
    append(first.plans, second.plans);
    return first;
}

}  // namespace anamnesis::eval
