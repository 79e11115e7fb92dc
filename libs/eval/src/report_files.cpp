// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/report_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/reason_findings.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"

#include "join_runs.hpp"
#include "trade_off.hpp"

namespace anamnesis::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> report_files{
    "report.html", "summary.md", "summary.csv", "summary.json"};

struct Findings {
    std::optional<NiahFindings> recall{};
    std::optional<ReasonFindings> reasoning{};
};

/// Errors: `usage` for a name that no run has, or one name for both.
void refuse_unknown_names(const ReportJob& job,
                          const std::optional<RunRecord>& recall,
                          const std::optional<RunRecord>& reasoning) {
    std::vector<std::string> names;
    for (const std::optional<RunRecord>* run : {&recall, &reasoning}) {
        if (*run) {
            for (const auto& [name, _] : (*run)->checkpoints.as_object("checkpoints")) {
                if (std::ranges::find(names, name) == names.end()) {
                    names.push_back(name);
                }
            }
        }
    }
    for (const auto& [option, name] :
         {std::pair("--pre", job.pre), std::pair("--post", job.post)}) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) {
            throw Error(ErrorKind::usage,
                        format("{} names {}, which is none of the checkpoints of these runs: {}",
                               option,
                               in_quotes(name),
                               join(names, ", ")));
        }
    }
    if (!job.pre.empty() && job.pre == job.post) {
        throw Error(ErrorKind::usage,
                    format("--pre and --post are both {}; name two", in_quotes(job.pre)));
    }
}

/// Where the report goes: into the folder that it is about, or into one of its own.
/// Errors: `usage`.
fs::path find_place(const ReportJob& job) {
    std::error_code ignored;
    const bool is_one = job.folders.size() == 1;
    if (is_one && (job.out.empty() || fs::equivalent(job.out, job.folders.front(), ignored))) {
        return job.folders.front();
    }
    if (job.out.empty()) {
        throw Error(ErrorKind::usage,
                    format("a report over {} folders needs a folder of its own, since each keeps "
                           "its own report; name it with --out",
                           job.folders.size()));
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(job.out, ignored)) {
        const std::string name = entry.path().filename().string();
        if (std::ranges::find(report_files, name) == report_files.end()) {
            throw Error(ErrorKind::usage,
                        format("--out {} holds {} and is the folder of something else, whose "
                               "report would be written over; name a folder of its own",
                               in_quotes(job.out.string(), 1000),
                               in_quotes(name)));
        }
    }
    return job.out;
}

Findings read_findings(const ReportJob& job) {
    std::optional<RunRecord> recall;
    std::optional<RunRecord> reasoning;
    std::set<fs::path> seen;
    for (const fs::path& folder : job.folders) {
        RunRecord run = read_run(folder);
        if (!seen.insert(fs::canonical(folder)).second) {
            throw Error(ErrorKind::usage, format("{} is given twice", in_quotes(folder.string())));
        }
        const std::string kind = run.settings.at("kind").as_string("'kind'");
        if (kind != "niah" && kind != "reason") {
            throw Error(ErrorKind::unsupported,
                        format("{} holds results of the kind {}, which this version does not know",
                               in_quotes(folder.string()),
                               in_quotes(kind)));
        }
        std::optional<RunRecord>& known = kind == "niah" ? recall : reasoning;
        known =
            known ? join_runs(*std::move(known), std::move(run), folder.string()) : std::move(run);
    }
    refuse_unknown_names(job, recall, reasoning);
    Findings findings;
    if (recall) {
        findings.recall = make_niah_findings(*std::move(recall), job.pre, job.post);
    }
    if (reasoning) {
        findings.reasoning = make_reason_findings(*std::move(reasoning), job.pre, job.post);
    }
    return findings;
}

report::Document make_document(const Findings& findings) {
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

Json make_json(const Findings& findings) {
    if (findings.recall && findings.reasoning) {
        return Json::Object{{"recall", to_json(*findings.recall)},
                            {"reasoning", to_json(*findings.reasoning)}};
    }
    return findings.recall ? to_json(*findings.recall) : to_json(*findings.reasoning);
}

}  // namespace

EvaluationReport write_reports(const ReportJob& job) {
    const fs::path folder = find_place(job);
    const Findings findings = read_findings(job);
    const report::Document document = make_document(findings);
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
    std::string json = make_json(findings).dump(2) + "\n";
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        throw io_error(format("making the folder {}", in_quotes(folder.string())), error.value());
    }
    io::write_text_atomically(folder / "report.html", report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.csv", csv);
    io::write_text_atomically(folder / "summary.json", json);
    return {.json = std::move(json), .text = std::move(text), .page = folder / "report.html"};
}

}  // namespace anamnesis::eval
