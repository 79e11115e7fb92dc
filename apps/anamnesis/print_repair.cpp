// SPDX-License-Identifier: Apache-2.0
#include "print_repair.hpp"

#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/apply.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

Json to_json(const std::vector<restore::Result>& results,
             const std::vector<checkpoint::Finding>& findings,
             double seconds) {
    Json outputs = Json::array();
    for (const restore::Result& result : results) {
        outputs.push_back(Json::Object{{"path", result.path.string()},
                                       {"bytes_written", result.bytes_written},
                                       {"bytes_linked", result.bytes_linked},
                                       {"receipt", result.receipt}});
    }
    return Json::Object{{"seconds", seconds},
                        {"outputs", std::move(outputs)},
                        {"findings", checkpoint::to_json(findings)}};
}

}  // namespace

void print_results(const std::vector<restore::Result>& results,
                   const std::vector<checkpoint::Finding>& findings,
                   const CommonOptions& options,
                   double seconds,
                   Terminal& terminal) {
    if (options.json) {
        terminal.result(to_json(results, findings, seconds).dump(2) + "\n");
        return;
    }
    for (const restore::Result& result : results) {
        if (const Json* drift = result.receipt.find("drift")) {
            std::vector<std::vector<std::string>> rows;
            for (const Json& row : drift->as_array("drift")) {
                const Json& layer = row.at("layer");
                rows.push_back({layer.is_null() ? "-" : layer.dump(),
                                row.at("part").as_string("part"),
                                report::short_number(row.at("drift_before").as_double("drift")),
                                report::short_number(row.at("drift_after").as_double("drift"))});
            }
            if (!terminal.is_quiet()) {
                terminal.result(
                    report::text_table({">layer", "part", ">drift before", ">after"}, rows));
            }
        }
        for (const std::string& note : result.notes) {
            terminal.say(format("note: {}", note));
        }
        terminal.say(format("{}: {} written{} in {:.2f} s",
                            result.path.string(),
                            human_bytes(result.bytes_written),
                            result.bytes_linked > 0
                                ? format(", {} shared", human_bytes(result.bytes_linked))
                                : std::string(),
                            seconds));
    }
}

}  // namespace anamnesis::app
