// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace anamnesis::eval {

/// Folders of evaluations, and who is who in them.
struct ReportJob {
    /// Of recall, of reasoning, or of both; those of one kind are joined, and the name of a
    /// checkpoint that two of them have is followed by the later folder's.
    std::vector<std::filesystem::path> folders{};
    std::string
        pre{};  ///< the name of the checkpoint before the fine-tune; empty: by name or order
    std::string post{};  ///< and of that after it
    /// Where the report goes. Empty: into the folder, where there is one.
    std::filesystem::path out{};
};

/// What was written, as a caller may show it.
struct EvaluationReport {
    std::string json{};            ///< the text of summary.json
    std::string text{};            ///< the figures as tables for a terminal
    std::filesystem::path page{};  ///< empty: of one part of a run, which has none
};

/// Folds the answers of the folders and writes report.html, summary.md, summary.csv and
/// summary.json. A report over several has a folder of its own, so that each keeps the page that is
/// about it alone.
/// Errors: `not_found` for a folder without a run; `usage` for one that is given twice, for several
///         without `out` and for an `out` that holds anything but such a report; `unsupported` for
///         a kind that a later version wrote.
EvaluationReport write_reports(const ReportJob& job);

}  // namespace anamnesis::eval
