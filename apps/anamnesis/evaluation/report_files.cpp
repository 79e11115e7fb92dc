// SPDX-License-Identifier: Apache-2.0
#include "evaluation/report_files.hpp"

#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"

#include "evaluation/niah_report.hpp"
#include "evaluation/reason_report.hpp"
#include "evaluation/trade_off.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

struct Findings {
    std::optional<NiahFindings> recall{};
    std::optional<ReasonFindings> reasoning{};
};

Findings read_findings(const std::vector<std::string>& folders,
                       const std::string& pre,
                       const std::string& post) {
    Findings findings;
    for (const std::string& folder : folders) {
        eval::RunRecord run = eval::read_run(folder);
        const std::string kind = run.settings.at("kind").as_string("'kind'");
        const bool is_taken =
            kind == "niah" ? findings.recall.has_value() : findings.reasoning.has_value();
        if (is_taken) {
            throw Error(ErrorKind::usage,
                        format("{} is a second folder of the kind {}; give one of each",
                               in_quotes(folder),
                               kind));
        }
        if (kind == "niah") {
            findings.recall = to_niah_findings(std::move(run), pre, post);
        } else if (kind == "reason") {
            findings.reasoning = to_reason_findings(std::move(run), pre, post);
        } else {
            throw Error(ErrorKind::unsupported,
                        format("{} holds results of the kind {}, which this version does not know",
                               in_quotes(folder),
                               in_quotes(kind)));
        }
    }
    return findings;
}

report::Document document_of(const Findings& findings) {
    if (!findings.recall) {
        return to_document(*findings.reasoning);
    }
    report::Document document = to_document(*findings.recall);
    if (!findings.reasoning) {
        return document;
    }
    report::Document both{
        .title = "Recall and reasoning", .subtitle = document.subtitle, .blocks = {}};
    add_trade_off(both, *findings.recall, *findings.reasoning);
    for (report::Document part : {std::move(document), to_document(*findings.reasoning)}) {
        both.blocks.emplace_back(report::Heading{.level = 2, .text = part.title});
        both.blocks.insert(both.blocks.end(),
                           std::make_move_iterator(part.blocks.begin()),
                           std::make_move_iterator(part.blocks.end()));
    }
    return both;
}

Json json_of(const Findings& findings) {
    if (findings.recall && findings.reasoning) {
        return Json::Object{{"recall", to_json(*findings.recall)},
                            {"reasoning", to_json(*findings.reasoning)}};
    }
    return findings.recall ? to_json(*findings.recall) : to_json(*findings.reasoning);
}

}  // namespace

void write_reports(const std::vector<std::string>& folders,
                   const std::string& pre,
                   const std::string& post,
                   const CommonOptions& common,
                   Terminal& terminal) {
    const Findings findings = read_findings(folders, pre, post);
    const std::filesystem::path folder = folders.front();
    const report::Document document = document_of(findings);
    std::string csv;
    std::string text;
    if (findings.recall) {
        csv += to_csv(*findings.recall);
        text += to_text(*findings.recall);
    }
    if (findings.reasoning) {
        csv += (csv.empty() ? "" : "\n") + to_csv(*findings.reasoning);
        text += to_text(*findings.reasoning);
    }
    const std::string json = json_of(findings).dump(2) + "\n";
    io::write_text_atomically(folder / "report.html", report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.csv", csv);
    io::write_text_atomically(folder / "summary.json", json);
    if (common.json) {
        terminal.result(json);
    }
    terminal.say(text + format("report: {}", (folder / "report.html").string()));
}

}  // namespace anamnesis::app
