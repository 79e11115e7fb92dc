// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {

/// Answers that any engine produced, to be graded line by line.
struct GradeJob {
    std::filesystem::path in{};   ///< JSON lines with id, task, gold, response
    std::filesystem::path out{};  ///< JSON lines with id, correct, extracted, reason, lm_eval
    /// The data set's own JSON lines, for lines without gold; found by id.
    std::filesystem::path data{};
    std::optional<ReasoningTask> task{};  ///< of lines, and of `data`, that name none
    unsigned threads = 1;
};

/// What all answers come to.
class GradeSummary {
public:
    void add(const std::string& id, ReasoningTask task, const grading::Grade& grade);

    std::uint64_t answers() const { return answers_; }
    std::uint64_t problems() const { return problems_.size(); }
    std::uint64_t correct() const { return correct_; }
    std::uint64_t count(grading::Reason reason) const;
    const std::map<grading::Reason, std::uint64_t>& reasons() const& { return reasons_; }
    const std::map<grading::Reason, std::uint64_t>& reasons() const&& = delete;

    /// Samples of one problem depend on each other: with several the problems are the clusters.
    bool has_samples() const { return problems_.size() < answers_; }
    ClusteredMean average() const;
    /// 95 % of the share of right answers: `share_interval`.
    Interval interval() const;

private:
    std::vector<ProblemCounts> counts() const;

    std::uint64_t answers_ = 0;
    std::uint64_t correct_ = 0;
    std::map<grading::Reason, std::uint64_t> reasons_;
    std::map<std::string, ProblemCounts> problems_;
};

Json to_json(const GradeSummary& summary);
/// The same with the files, as `grade --json` prints it.
Json to_json(const GradeJob& job, const GradeSummary& summary);
/// Two lines for a terminal.
std::string to_text(const GradeSummary& summary);

/// Grades in batches, each answer on a thread of its own. The output appears whole or not at all.
/// Errors: `usage` where the output would replace an input; `malformed`, naming the line, for one
///         without id or response and for a file without answers; `mismatch` for a line without
///         gold; `cancelled` after a stop.
GradeSummary grade_answers(const GradeJob& job, const Watch& watch);

}  // namespace anamnesis::eval
