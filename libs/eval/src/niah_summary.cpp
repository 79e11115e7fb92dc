// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/niah_summary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {
namespace {

using Results = std::vector<const NiahResult*>;

template <class Value>
void add_once(std::vector<Value>& values, const Value& value) {
    if (std::ranges::find(values, value) == values.end()) {
        values.push_back(value);
    }
}

/// The place of a task among RULER's; others come after them.
std::size_t find_rank(const std::string& task) {
    const auto tasks = niah_tasks();
    return static_cast<std::size_t>(std::ranges::find(tasks, task, &NiahTask::name) -
                                    tasks.begin());
}

template <class Holds>
double compute_share(const Results& results, const Holds& holds) {
    return static_cast<double>(std::ranges::count_if(
               results, [&](const NiahResult* result) { return holds(result->verdict); })) /
           static_cast<double>(results.size());
}

NiahCell make_cell(const Results& results) {
    NiahCell cell{.checkpoint = results.front()->checkpoint,
                  .task = results.front()->task,
                  .length = results.front()->length,
                  .count = results.size()};
    std::vector<double> scores;
    double sum = 0.0;
    double logprobs = 0.0;
    bool has_logprobs = true;
    std::uint64_t right = 0;
    for (const NiahResult* result : results) {
        scores.push_back(result->verdict.score);
        sum += result->verdict.score;
        right += result->verdict.score == 1.0 ? 1U : 0U;
        has_logprobs = has_logprobs && result->logprob.has_value();
        logprobs += result->logprob.value_or(0.0);
        if (result->prompt_tokens > 0) {
            const std::size_t fewest =
                cell.fewest_tokens == 0 ? result->prompt_tokens : cell.fewest_tokens;
            cell.fewest_tokens = std::min(fewest, result->prompt_tokens);
            cell.most_tokens = std::max(cell.most_tokens, result->prompt_tokens);
        }
    }
    const auto count = static_cast<double>(results.size());
    cell.score = sum / count;
    const bool is_binary =
        std::ranges::all_of(scores, [](double score) { return score == 0.0 || score == 1.0; });
    cell.interval = is_binary ? wilson_interval(right, results.size()) : bootstrap_mean(scores);
    cell.first_exact =
        compute_share(results, [](const NiahVerdict& v) { return v.is_first_exact; });
    cell.wrong_needle =
        compute_share(results, [](const NiahVerdict& v) { return v.has_wrong_needle; });
    cell.empty = compute_share(results, [](const NiahVerdict& v) { return v.is_empty; });
    cell.degenerate = compute_share(results, [](const NiahVerdict& v) { return v.is_degenerate; });
    cell.truncated = compute_share(results, [](const NiahVerdict& v) { return v.is_truncated; });
    cell.unfinished = compute_share(results, [](const NiahVerdict& v) { return v.is_unfinished; });
    if (has_logprobs) {
        cell.logprob = logprobs / count;
    }
    return cell;
}

/// Scores of one task and length by checkpoint and sample.
using Scores = std::map<std::string, std::map<std::string, double>>;
using Place = std::pair<std::string, std::size_t>;

/// The scores of several checkpoints on the samples that all of them have.
std::vector<std::vector<double>> paired(const Scores& scores,
                                        const std::vector<std::string>& checkpoints) {
    std::vector<std::vector<double>> columns(checkpoints.size());
    const auto first = scores.find(checkpoints.front());
    if (first == scores.end()) {
        return columns;
    }
    for (const auto& [id, score] : first->second) {
        std::vector<double> row;
        for (const std::string& checkpoint : checkpoints) {
            const auto own = scores.find(checkpoint);
            if (own == scores.end() || !own->second.contains(id)) {
                break;
            }
            row.push_back(own->second.at(id));
        }
        for (std::size_t i = 0; row.size() == columns.size() && i < row.size(); ++i) {
            columns[i].push_back(row[i]);
        }
    }
    return columns;
}

std::optional<NiahComparison> compare(const Place& place,
                                      const Scores& scores,
                                      const std::string& first,
                                      const std::string& second) {
    const auto columns = paired(scores, {first, second});
    if (columns.front().empty()) {
        return std::nullopt;
    }
    NiahComparison result{.first = first,
                          .second = second,
                          .task = place.first,
                          .length = place.second,
                          .pairs = columns.front().size()};
    std::vector<double> differences;
    for (std::size_t i = 0; i < result.pairs; ++i) {
        differences.push_back(columns[1][i] - columns[0][i]);
        result.difference += differences.back() / static_cast<double>(result.pairs);
        const bool first_right = columns[0][i] == 1.0;
        const bool second_right = columns[1][i] == 1.0;
        result.only_first += first_right && !second_right ? 1U : 0U;
        result.only_second += second_right && !first_right ? 1U : 0U;
    }
    result.interval = bootstrap_mean(differences);
    result.p_value = mcnemar_exact(result.only_first, result.only_second);
    return result;
}

void compare_all(NiahSummary& summary,
                 const std::map<Place, Scores>& places,
                 const CheckpointRoles& roles) {
    for (const auto& [first, second] : roles.pairs()) {
        for (const auto& [place, scores] : places) {
            if (auto comparison = compare(place, scores, first, second)) {
                summary.comparisons.push_back(std::move(*comparison));
            }
        }
    }
    for (const std::string& repaired : roles.repaired) {
        for (const auto& [place, scores] : places) {
            const auto columns = paired(scores, {roles.pre, roles.post, repaired});
            if (!columns.front().empty()) {
                summary.recoveries.push_back(
                    {.repaired = repaired,
                     .task = place.first,
                     .length = place.second,
                     .samples = columns.front().size(),
                     .share = recovered_share(columns[0], columns[1], columns[2])});
            }
        }
    }
}

}  // namespace

TokenRange find_token_range(const NiahSummary& summary,
                            const std::string& task,
                            std::size_t length) {
    TokenRange range;
    for (const NiahCell& cell : summary.cells) {
        if (cell.task != task || cell.length != length || cell.most_tokens == 0) {
            continue;
        }
        range.fewest =
            range.most == 0 ? cell.fewest_tokens : std::min(range.fewest, cell.fewest_tokens);
        range.most = std::max(range.most, cell.most_tokens);
    }
    return range;
}

std::string describe_tokens(const TokenRange& range) {
    return range.most == 0              ? std::string()
           : range.fewest == range.most ? format("{}", range.most)
                                        : format("{} to {}", range.fewest, range.most);
}

std::vector<std::string> list_checkpoints(std::span<const NiahResult> results) {
    std::vector<std::string> names;
    for (const NiahResult& result : results) {
        add_once(names, result.checkpoint);
    }
    return names;
}

NiahSummary summarise(std::span<const NiahResult> results,
                      const CheckpointRoles& roles,
                      Depths depths) {
    constexpr std::uint32_t bin = 10;
    NiahSummary summary;
    summary.checkpoints = list_checkpoints(results);
    std::map<std::tuple<std::size_t, std::size_t, std::size_t>, Results> by_task;
    std::map<std::tuple<std::size_t, std::size_t, std::uint32_t>, Results> by_depth;
    std::map<Place, Scores> places;
    for (const NiahResult& result : results) {
        add_once(summary.tasks, result.task);
        add_once(summary.lengths, result.length);
    }
    std::ranges::sort(summary.tasks, {}, [](const std::string& task) {
        return std::pair(find_rank(task), task);
    });
    for (const NiahResult& result : results) {
        const auto checkpoint =
            static_cast<std::size_t>(std::ranges::find(summary.checkpoints, result.checkpoint) -
                                     summary.checkpoints.begin());
        const auto task = static_cast<std::size_t>(std::ranges::find(summary.tasks, result.task) -
                                                   summary.tasks.begin());
        by_task[{checkpoint, task, result.length}].push_back(&result);
        if (result.depth) {
            const std::uint32_t depth =
                depths == Depths::even ? *result.depth : std::min(*result.depth, 99U) / bin * bin;
            add_once(summary.depths, depth);
            by_depth[{checkpoint, result.length, depth}].push_back(&result);
        }
        places[{result.task, result.length}][result.checkpoint][result.id] = result.verdict.score;
    }
    std::ranges::sort(summary.lengths);
    std::ranges::sort(summary.depths);
    for (const auto& [place, group] : by_task) {
        summary.cells.push_back(make_cell(group));
    }
    for (const auto& [place, group] : by_depth) {
        summary.depth_cells.push_back(make_cell(group));
        summary.depth_cells.back().depth = std::get<2>(place);
    }
    compare_all(summary, places, roles);
    return summary;
}

}  // namespace anamnesis::eval
