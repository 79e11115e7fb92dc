// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/adapter_names.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {
namespace {

void add_list(std::vector<std::string>& lines,
              const std::vector<std::string>& names,
              std::string_view one,
              std::string_view many) {
    if (!names.empty()) {
        lines.push_back(
            format("{}: {}",
                   names.size() == 1 ? std::string(one) : format("{} {}", names.size(), many),
                   list_examples(names)));
    }
}

bool is_in_the_way(const AdapterObstacle& obstacle, AdapterUse use) {
    switch (obstacle.reach) {
        case ObstacleReach::files:
            return use == AdapterUse::merge;
        case ObstacleReach::merge:
            return use != AdapterUse::repair;
        case ObstacleReach::all:
            break;
    }
    return true;
}

void refuse_empty(const Adapter& adapter) {
    if (!adapter.weights.tensors().empty()) {
        return;
    }
    const std::vector<WeightFile>& files = adapter.weights.files();
    const std::filesystem::path& path = files.empty() ? adapter.path : files.front().path();
    throw Error(ErrorKind::mismatch,
                format("adapter file {} holds no tensors, expected the pairs of a LoRA adapter (A "
                       "and B of each module); fetch it again, or save the adapter again",
                       in_quotes(path.string(), 1000)));
}

}  // namespace

void refuse_unfit(const AdapterMatch& match, AdapterUse use, bool takes_residual_base) {
    for (const AdapterObstacle& obstacle : match.adapter->config.obstacles) {
        if (is_in_the_way(obstacle, use) && !(obstacle.is_residual_base && takes_residual_base)) {
            const bool can_be_merged = obstacle.is_residual_base && use == AdapterUse::run;
            throw Error(
                ErrorKind::unsupported,
                format("adapter {}: {}{}",
                       in_quotes(match.adapter->path.string(), 1000),
                       obstacle.sentence,
                       can_be_merged ? " of 'restore --adapter', and run what it writes" : ""));
        }
    }
    refuse_empty(*match.adapter);
    const std::size_t tensors = match.adapter->weights.tensors().size();
    std::vector<std::string> lines;
    if (match.unmatched.size() == tensors) {
        const std::string reason = explain_adapter_name(match.unmatched.front());
        lines.push_back(
            format("none of the {} adapter tensors names a tensor of the base, such as "
                   "{}{}",
                   tensors,
                   in_quotes(match.unmatched.front()),
                   reason.empty() ? reason : "; " + reason));
    } else {
        add_list(lines,
                 match.unmatched,
                 "a tensor of the adapter names nothing in the base",
                 "tensors of the adapter name nothing in the base");
    }
    if (use != AdapterUse::repair) {
        add_list(lines,
                 match.untied,
                 "the head of the base is its embedding, and the adapter has a tensor for a head "
                 "of its own (save the base with tie_word_embeddings false and a head first)",
                 "the head of the base is its embedding, and the adapter has tensors for a head of "
                 "its own (save the base with tie_word_embeddings false and a head first)");
    }
    add_list(lines,
             match.halves,
             "a tensor of the adapter is without the other half of its pair (A or B)",
             "tensors of the adapter are without the other half of their pair (A or B)");
    const std::size_t shown = match.problems.size() > most_examples ? 1 : match.problems.size();
    lines.insert(lines.end(),
                 match.problems.begin(),
                 match.problems.begin() + static_cast<std::ptrdiff_t>(shown));
    if (match.problems.size() > shown) {
        lines.push_back(format("and {} more like this", match.problems.size() - shown));
    }
    if (!lines.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("adapter {} does not fit the base {}: {}",
                           in_quotes(match.adapter->path.string(), 1000),
                           in_quotes(match.base->checkpoint.path().string(), 1000),
                           join(lines, "; ")));
    }
}

}  // namespace anamnesis::checkpoint
