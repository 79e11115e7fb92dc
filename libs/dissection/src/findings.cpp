// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/dissection/findings.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/text_table.hpp"

namespace anamnesis::dissection {
namespace {

Json to_json(const std::optional<eval::Interval>& interval) {
    return interval ? Json(Json::Array{interval->low, interval->high}) : Json();
}

Json to_json(const std::vector<std::string>& lines) {
    Json list = Json::array();
    for (const std::string& line : lines) {
        list.push_back(line);
    }
    return list;
}

Json to_json(const SideScore& side) {
    return Json::Object{{"loss", side.loss},
                        {"interval", to_json(std::optional(side.interval))},
                        {"right", std::uint64_t{side.right_texts}},
                        {"texts", std::uint64_t{side.texts}},
                        {"share", side.share ? Json(*side.share) : Json()},
                        {"share_interval", to_json(side.share_interval)}};
}

Json to_json(const Outcome& outcome) {
    return Json::Object{{"name", outcome.name},
                        {"recall", to_json(outcome.recall)},
                        {"reasoning", to_json(outcome.reasoning)},
                        {"worth", outcome.worth},
                        {"commands", to_json(outcome.commands)}};
}

Json to_json(const std::vector<Outcome>& outcomes) {
    Json list = Json::array();
    for (const Outcome& outcome : outcomes) {
        list.push_back(to_json(outcome));
    }
    return list;
}

Json to_json(const Candidate& candidate) {
    return Json::Object{{"name", candidate.name},
                        {"group", candidate.group},
                        {"layer", candidate.layer ? Json(*candidate.layer) : Json()},
                        {"texts", std::uint64_t{candidate.texts}},
                        {"recall_gain", candidate.recall_gain},
                        {"reasoning_gain", candidate.reasoning_gain},
                        {"reversed_recall_loss",
                         candidate.is_reversed ? Json(candidate.reverse_recall_loss) : Json()}};
}

/// Which half of the texts the fields are of.
Json name_halves() {
    Json halves = Json::object();
    for (const char* field :
         {"candidates", "carrier", "best", "worth", "additive_worth", "union_worth"}) {
        halves.set(field, "choosing");
    }
    halves.set("recall", "telling");
    halves.set("reasoning", "telling");
    return halves;
}

std::string percent(const std::optional<double>& share) {
    return share ? format("{:.0f} %", 100.0 * *share) : std::string("-");
}

std::vector<std::string> make_row(const Outcome& outcome) {
    return {outcome.name,
            format("{:.4f}", outcome.recall.loss),
            percent(outcome.recall.share),
            format("{}/{}", outcome.recall.right_texts, outcome.recall.texts),
            format("{:.4f}", outcome.reasoning.loss),
            percent(outcome.reasoning.share),
            format("{}/{}", outcome.reasoning.right_texts, outcome.reasoning.texts)};
}

}  // namespace

const Outcome* find_best(const Findings& findings) {
    for (const std::vector<Outcome>* list : {&findings.found, &findings.methods}) {
        for (const Outcome& outcome : *list) {
            if (outcome.name == findings.best) {
                return &outcome;
            }
        }
    }
    return nullptr;
}

Json to_json(const Findings& findings) {
    Json candidates = Json::array();
    for (const Candidate& candidate : findings.candidates) {
        candidates.push_back(to_json(candidate));
    }
    const Outcome* best = find_best(findings);
    return Json::Object{{"pre", to_json(findings.pre)},
                        {"post", to_json(findings.post)},
                        {"carrier", findings.carrier.empty() ? Json() : Json(findings.carrier)},
                        {"best", findings.best.empty() ? Json() : Json(findings.best)},
                        {"commands", best == nullptr ? Json::array() : to_json(best->commands)},
                        {"additive_worth", findings.additive},
                        {"union_worth", findings.together},
                        {"cut_short", findings.is_cut_short},
                        {"halves", name_halves()},
                        {"candidates", std::move(candidates)},
                        {"found", to_json(findings.found)},
                        {"methods", to_json(findings.methods)},
                        {"skipped", to_json(findings.skipped)},
                        {"warnings", to_json(findings.warnings)}};
}

std::string to_text(const Findings& findings) {
    std::vector<std::vector<std::string>> rows{make_row(findings.pre), make_row(findings.post)};
    for (const std::vector<Outcome>* list : {&findings.found, &findings.methods}) {
        for (const Outcome& outcome : *list) {
            rows.push_back(make_row(outcome));
        }
    }
    std::string text = report::text_table({"from pre",
                                           ">recall -ln p",
                                           ">comes back",
                                           ">right",
                                           ">reasoning -ln p",
                                           ">is kept",
                                           ">right"},
                                          rows);
    text += findings.carrier.empty()
                ? std::string("no candidate alone brings recall back beyond chance\n")
                : format("{} carries most of the damage\n", findings.carrier);
    if (!findings.skipped.empty()) {
        text += format("left out: {}\n", join(findings.skipped, "; "));
    }
    if (findings.is_cut_short) {
        text += "the budget ended the search: not every candidate was asked on every text\n";
    }
    if (const Outcome* best = find_best(findings)) {
        text += format("best repair: {}\n", best->name);
        for (const std::string& command : best->commands) {
            text += format("  {}\n", command);
        }
    } else {
        text += "no repair wins more than it costs: post stays the better choice\n";
    }
    return text;
}

}  // namespace anamnesis::dissection
