// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/attention_findings.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::analysis {
namespace {

constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

/// The mean of what is known.
class Mean {
public:
    void add(double value) {
        if (std::isfinite(value)) {
            sum_ += value;
            ++count_;
        }
    }
    double value() const { return count_ == 0 ? not_known : sum_ / static_cast<double>(count_); }

private:
    double sum_ = 0.0;
    std::size_t count_ = 0;
};

std::vector<double> read_numbers(const Json& json, std::size_t count) {
    std::vector<double> numbers;
    for (const Json& number : json.as_array("shares")) {
        numbers.push_back(number.is_null() ? not_known : number.as_double("share"));
    }
    if (numbers.size() != count) {
        throw Error(ErrorKind::malformed, format("{} shares, expected {}", numbers.size(), count));
    }
    return numbers;
}

Json write_numbers(const std::vector<double>& numbers) {
    Json list = Json::array();
    for (const double number : numbers) {
        list.push_back(number);
    }
    return list;
}

/// Texts of each checkpoint by id; every checkpoint must have seen the same.
using ByText = std::map<std::string, const AttentionRecord*>;

std::vector<ByText> group_by_text(const std::vector<AttentionRecord>& records,
                                  const std::vector<std::string>& checkpoints) {
    std::vector<ByText> texts(checkpoints.size());
    const AttentionRecord& model = records.front();
    for (const AttentionRecord& record : records) {
        const auto place = std::ranges::find(checkpoints, record.checkpoint);
        bool fits = record.layers.size() == model.layers.size();
        for (std::size_t i = 0; fits && i < record.layers.size(); ++i) {
            fits = record.layers[i].layer == model.layers[i].layer &&
                   record.layers[i].heads.size() == model.layers[i].heads.size();
        }
        if (!fits) {
            throw Error(ErrorKind::mismatch,
                        format("{} has other softmax layers or heads than {}",
                               in_quotes(record.checkpoint),
                               in_quotes(model.checkpoint)));
        }
        texts[static_cast<std::size_t>(place - checkpoints.begin())].emplace(record.id, &record);
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const bool is_same = texts[i].size() == texts.front().size() &&
                             std::ranges::all_of(texts[i], [&](const auto& entry) {
                                 return texts.front().contains(entry.first);
                             });
        if (!is_same || texts[i].empty()) {
            throw Error(ErrorKind::mismatch,
                        format("{} was shown other texts than {}",
                               in_quotes(checkpoints[i]),
                               in_quotes(checkpoints.front())));
        }
    }
    return texts;
}

std::vector<std::vector<double>> compute_means(const ByText& texts, const HeadMeasure& measure) {
    std::vector<std::vector<double>> means;
    const AttentionRecord& model = *texts.begin()->second;
    for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
        means.emplace_back();
        for (std::size_t head = 0; head < model.layers[layer].heads.size(); ++head) {
            Mean mean;
            for (const auto& [id, record] : texts) {
                if (!measure.needs_needle || record->has_needle) {
                    mean.add(measure.value(record->layers[layer].heads[head]));
                }
            }
            means.back().push_back(mean.value());
        }
    }
    return means;
}

double average_heads(const LayerAttention& layer, const HeadMeasure& measure) {
    Mean mean;
    for (const HeadAttention& head : layer.heads) {
        mean.add(measure.value(head));
    }
    return mean.value();
}

void add_changes(AttentionFindings& findings,
                 const std::vector<ByText>& texts,
                 const std::string& first,
                 const std::string& second) {
    const auto find_index = [&](const std::string& name) {
        return static_cast<std::size_t>(std::ranges::find(findings.checkpoints, name) -
                                        findings.checkpoints.begin());
    };
    const ByText& before = texts[find_index(first)];
    const ByText& after = texts[find_index(second)];
    for (std::size_t layer = 0; layer < findings.layers.size(); ++layer) {
        for (const HeadMeasure& measure : findings.measures) {
            std::vector<double> differences;
            Mean start;
            for (const auto& [id, record] : before) {
                if (measure.needs_needle && !record->has_needle) {
                    continue;
                }
                const double value = average_heads(record->layers[layer], measure);
                const double then = average_heads(after.at(id)->layers[layer], measure);
                if (std::isfinite(value) && std::isfinite(then)) {
                    start.add(value);
                    differences.push_back(then - value);
                }
            }
            if (differences.empty()) {
                continue;
            }
            Mean difference;
            for (const double one : differences) {
                difference.add(one);
            }
            findings.changes.push_back({.first = first,
                                        .second = second,
                                        .layer = findings.layers[layer],
                                        .measure = measure.key,
                                        .before = start.value(),
                                        .difference = difference.value(),
                                        .interval = eval::bootstrap_mean(differences)});
        }
    }
}

void add_answered(AttentionFindings& findings, const std::vector<ByText>& texts) {
    const Json* answers = findings.settings.find("answers");
    if (answers == nullptr || answers->as_string("'answers'") != "own") {
        return;
    }
    for (const ByText& checkpoint : texts) {
        const auto count = std::ranges::count_if(
            checkpoint, [](const auto& entry) { return entry.second->is_answered; });
        findings.answered.push_back(static_cast<double>(count) /
                                    static_cast<double>(checkpoint.size()));
    }
}

}  // namespace

std::vector<HeadMeasure> make_head_measures(const std::vector<std::size_t>& beyond) {
    std::vector<HeadMeasure> measures{
        {.key = "mean_distance",
         .name = "mean attention distance, tokens",
         .value = [](const HeadAttention& head) { return head.mean_distance; }},
        {.key = "entropy", .name = "entropy, nats", .value = [](const HeadAttention& head) {
             return head.entropy;
         }}};
    for (std::size_t i = 0; i < beyond.size(); ++i) {
        measures.push_back(
            {.key = format("share_beyond_{}", beyond[i]),
             .name = format("share beyond {} tokens, of queries with keys so far back", beyond[i]),
             .value = [i](const HeadAttention& head) { return head.share_beyond_of_able[i]; }});
    }
    measures.push_back({.key = "needle_mass",
                        .name = "mass on the needle while the answer is written",
                        .value = [](const HeadAttention& head) { return head.needle_mass; },
                        .needs_needle = true});
    measures.push_back({.key = "retrieval",
                        .name = "retrieval score",
                        .value = [](const HeadAttention& head) { return head.retrieval; },
                        .needs_needle = true});
    return measures;
}

Json to_json(const AttentionRecord& record) {
    Json layers = Json::array();
    for (const LayerAttention& layer : record.layers) {
        Json heads = Json::array();
        for (const HeadAttention& head : layer.heads) {
            heads.push_back(
                Json::Object{{"mean_distance", head.mean_distance},
                             {"entropy", head.entropy},
                             {"share_beyond", write_numbers(head.share_beyond)},
                             {"share_beyond_of_able", write_numbers(head.share_beyond_of_able)},
                             {"needle_mass", head.needle_mass},
                             {"retrieval", head.retrieval}});
        }
        layers.push_back(
            Json::Object{{"layer", std::uint64_t{layer.layer}}, {"heads", std::move(heads)}});
    }
    return Json::Object{{"checkpoint", record.checkpoint},
                        {"id", record.id},
                        {"has_needle", record.has_needle},
                        {"is_answered", record.is_answered},
                        {"layers", std::move(layers)}};
}

AttentionRecord read_attention_record(const Json& json, const std::vector<std::size_t>& beyond) {
    AttentionRecord record{.checkpoint = json.at("checkpoint").as_string("'checkpoint'"),
                           .id = json.at("id").as_string("'id'"),
                           .layers = {},
                           .has_needle = json.at("has_needle").as_boolean("'has_needle'"),
                           .is_answered = json.at("is_answered").as_boolean("'is_answered'")};
    for (const Json& layer : json.at("layers").as_array("'layers'")) {
        LayerAttention& one = record.layers.emplace_back();
        one.layer = layer.at("layer").as_unsigned("'layer'");
        for (const Json& head : layer.at("heads").as_array("'heads'")) {
            one.heads.push_back(
                {.mean_distance = head.at("mean_distance").as_double("'mean_distance'"),
                 .entropy = head.at("entropy").as_double("'entropy'"),
                 .share_beyond = read_numbers(head.at("share_beyond"), beyond.size()),
                 .share_beyond_of_able =
                     read_numbers(head.at("share_beyond_of_able"), beyond.size()),
                 .needle_mass = head.at("needle_mass").as_double("'needle_mass'"),
                 .retrieval = head.at("retrieval").as_double("'retrieval'")});
        }
    }
    return record;
}

AttentionFindings fold_records(const eval::RunRecord& run,
                               const std::vector<std::string>& checkpoints) {
    AttentionFindings findings{.settings = run.settings, .checkpoints = checkpoints};
    for (const Json& distance : run.settings.at("beyond").as_array("'beyond'")) {
        findings.beyond.push_back(distance.as_unsigned("'beyond'"));
    }
    std::vector<AttentionRecord> records;
    for (const Json& line : run.results) {
        AttentionRecord record = read_attention_record(line, findings.beyond);
        // The folder may hold others of earlier runs.
        if (std::ranges::find(checkpoints, record.checkpoint) != checkpoints.end()) {
            records.push_back(std::move(record));
        }
    }
    const std::vector<ByText> texts = group_by_text(records, checkpoints);
    findings.texts = texts.front().size();
    for (const LayerAttention& layer : records.front().layers) {
        findings.layers.push_back(layer.layer);
    }
    const bool has_needle = std::ranges::any_of(records, &AttentionRecord::has_needle);
    for (HeadMeasure& measure : make_head_measures(findings.beyond)) {
        const auto means = compute_means(texts.front(), measure);
        const bool is_known = std::ranges::any_of(means, [](const std::vector<double>& heads) {
            return std::ranges::any_of(heads, [](double value) { return std::isfinite(value); });
        });
        if (is_known && (has_needle || !measure.needs_needle)) {
            findings.measures.push_back(std::move(measure));
        }
    }
    for (const ByText& checkpoint : texts) {
        auto& means = findings.means.emplace_back();
        for (const HeadMeasure& measure : findings.measures) {
            means.push_back(compute_means(checkpoint, measure));
        }
    }
    add_answered(findings, texts);
    findings.roles = eval::assign_roles(checkpoints);
    if (!findings.roles.pre.empty() && !findings.roles.post.empty()) {
        add_changes(findings, texts, findings.roles.pre, findings.roles.post);
        for (const std::string& repaired : findings.roles.repaired) {
            add_changes(findings, texts, findings.roles.post, repaired);
        }
    }
    return findings;
}

std::vector<std::uint32_t> choose_retrieval_layers(const AttentionFindings& findings,
                                                   std::size_t count) {
    const auto measure =
        std::ranges::find(findings.measures, std::string("retrieval"), &HeadMeasure::key);
    if (measure == findings.measures.end()) {
        throw Error(ErrorKind::mismatch,
                    "no text has a needle, so heads have no retrieval score; give --niah or "
                    "prompts with 'outputs'");
    }
    const auto& scores =
        findings.means.front()[static_cast<std::size_t>(measure - findings.measures.begin())];
    std::vector<std::pair<double, std::uint32_t>> best;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        // Negative, so that the highest come first and the lower layer among equals.
        best.emplace_back(-std::ranges::max(scores[i]),
                          static_cast<std::uint32_t>(findings.layers[i]));
    }
    std::ranges::sort(best);
    if (best.front().first == 0.0) {
        throw Error(ErrorKind::mismatch,
                    format("no head of {} copies a token of a needle: every retrieval score is 0, "
                           "and a choice of layers would be arbitrary",
                           in_quotes(findings.checkpoints.front())));
    }
    std::vector<std::uint32_t> layers;
    for (std::size_t i = 0; i < std::min(count, best.size()); ++i) {
        if (best[i].first < 0.0) {
            layers.push_back(best[i].second);
        }
    }
    std::ranges::sort(layers);
    return layers;
}

}  // namespace anamnesis::analysis
