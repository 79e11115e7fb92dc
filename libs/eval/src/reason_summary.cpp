// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/reason_summary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {
namespace {

/// The samples of each problem.
using ByProblem = std::map<std::string, std::vector<const ReasonResult*>>;

template <class Holds>
double compute_share(const ByProblem& problems, std::size_t samples, const Holds& holds) {
    std::ptrdiff_t count = 0;
    for (const auto& [id, results] : problems) {
        count += std::ranges::count_if(results,
                                       [&](const ReasonResult* result) { return holds(*result); });
    }
    return static_cast<double>(count) / static_cast<double>(samples);
}

bool majority_is_right(const std::vector<const ReasonResult*>& samples) {
    std::vector<grading::Extraction> answers;
    for (const ReasonResult* sample : samples) {
        answers.push_back(grading::extract_answer(
            sample->response, sample->task, grading::response_end(sample->is_truncated)));
    }
    const auto classes = grading::classes_of_answers(answers, samples.front()->task);
    const std::optional<std::size_t> chosen = majority_vote(classes);
    if (!chosen) {
        return false;
    }
    const auto first =
        static_cast<std::size_t>(std::ranges::find(classes, chosen) - classes.begin());
    return samples[first]->is_correct;
}

ReasonCell make_cell(const std::string& checkpoint, const ByProblem& problems) {
    ReasonCell cell{.checkpoint = checkpoint, .problems = problems.size()};
    std::vector<ProblemCounts> counts;
    std::size_t majority = 0;
    std::size_t tokens = 0;
    cell.fewest = problems.begin()->second.size();
    for (const auto& [id, samples] : problems) {
        const auto right = std::ranges::count_if(
            samples, [](const ReasonResult* sample) { return sample->is_correct; });
        counts.push_back({.samples = samples.size(), .correct = static_cast<std::uint64_t>(right)});
        cell.samples += samples.size();
        cell.fewest = std::min(cell.fewest, samples.size());
        majority += majority_is_right(samples) ? 1U : 0U;
        for (const ReasonResult* sample : samples) {
            tokens += sample->new_tokens;
        }
    }
    cell.average = average_at_k(counts);
    cell.interval = share_interval(counts);
    for (std::size_t k = 1; k < cell.fewest; k *= 2) {
        cell.pass.emplace_back(k, pass_at_k(counts, k));
    }
    cell.pass.emplace_back(cell.fewest, pass_at_k(counts, cell.fewest));
    cell.majority = static_cast<double>(majority) / static_cast<double>(cell.problems);
    cell.mean_tokens = static_cast<double>(tokens) / static_cast<double>(cell.samples);
    const auto share = [&](const auto& holds) {
        return compute_share(problems, cell.samples, holds);
    };
    cell.truncated = share([](const ReasonResult& result) { return result.is_truncated; });
    cell.unfinished = share(
        [](const ReasonResult& result) { return result.reason == grading::Reason::unfinished; });
    cell.without_answer = share(
        [](const ReasonResult& result) { return result.reason == grading::Reason::no_answer; });
    cell.undecided = share(
        [](const ReasonResult& result) { return result.reason == grading::Reason::undecided; });
    return cell;
}

double share_right(const std::vector<const ReasonResult*>& samples) {
    return static_cast<double>(std::ranges::count_if(
               samples, [](const ReasonResult* sample) { return sample->is_correct; })) /
           static_cast<double>(samples.size());
}

std::optional<ReasonComparison> compare(const std::pair<std::string, std::string>& pair,
                                        const ByProblem& first,
                                        const ByProblem& second) {
    std::vector<double> before;
    std::vector<double> after;
    std::vector<double> differences;
    for (const auto& [id, samples] : first) {
        if (const auto other = second.find(id); other != second.end()) {
            before.push_back(share_right(samples));
            after.push_back(share_right(other->second));
            differences.push_back(after.back() - before.back());
        }
    }
    if (before.empty()) {
        return std::nullopt;
    }
    return ReasonComparison{.first = pair.first,
                            .second = pair.second,
                            .problems = before.size(),
                            .difference = paired_difference(after, before),
                            .bootstrap = bootstrap_mean(differences)};
}

}  // namespace

ReasonSummary summarise(std::span<const ReasonResult> results, const CheckpointRoles& roles) {
    std::vector<std::string> order;
    std::map<std::string, ByProblem> checkpoints;
    for (const ReasonResult& result : results) {
        if (!checkpoints.contains(result.checkpoint)) {
            order.push_back(result.checkpoint);
        }
        checkpoints[result.checkpoint][result.problem].push_back(&result);
    }
    ReasonSummary summary;
    for (const std::string& checkpoint : order) {
        // Sample order decides ties of the vote, not the order in which answers came.
        for (auto& [id, samples] : checkpoints[checkpoint]) {
            std::ranges::sort(samples, {}, &ReasonResult::sample);
        }
        summary.cells.push_back(make_cell(checkpoint, checkpoints[checkpoint]));
    }
    for (const auto& pair : roles.pairs()) {
        if (checkpoints.contains(pair.first) && checkpoints.contains(pair.second)) {
            if (auto comparison =
                    compare(pair, checkpoints[pair.first], checkpoints[pair.second])) {
                summary.comparisons.push_back(std::move(*comparison));
            }
        }
    }
    return summary;
}

}  // namespace anamnesis::eval
