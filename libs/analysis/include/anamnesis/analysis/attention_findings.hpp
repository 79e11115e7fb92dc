// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {

/// A measure of heads, and how it is called.
struct HeadMeasure {
    std::string key;   ///< in JSON
    std::string name;  ///< on the page
    std::function<double(const HeadAttention&)> value;
    bool needs_needle = false;
};

/// mean distance, entropy, a share for each distance, needle mass, retrieval score.
std::vector<HeadMeasure> make_head_measures(const std::vector<std::size_t>& beyond);

/// One text under one checkpoint.
struct AttentionRecord {
    std::string checkpoint;
    std::string id;
    std::vector<LayerAttention> layers;
    bool has_needle = false;
    bool is_answered = false;  ///< the model's own answer holds the value
};

Json to_json(const AttentionRecord& record);
/// Errors: `malformed`, naming the field.
AttentionRecord read_attention_record(const Json& json, const std::vector<std::size_t>& beyond);

/// What changed in a layer between two checkpoints: its heads' mean, on the same texts.
struct AttentionChange {
    std::string first;
    std::string second;
    std::size_t layer = 0;
    std::string measure;  ///< its key
    double before = 0.0;
    double difference = 0.0;
    eval::Interval interval{};
};

struct AttentionFindings {
    Json settings{};
    std::vector<std::size_t> beyond{};
    std::vector<HeadMeasure> measures{};  ///< those that the texts allow
    std::vector<std::string> checkpoints{};
    eval::CheckpointRoles roles{};
    std::size_t texts = 0;
    std::vector<std::size_t> layers{};
    /// [checkpoint][measure][layer][head], means over texts; NaN where no text tells.
    std::vector<std::vector<std::vector<std::vector<double>>>> means{};
    std::vector<double> answered{};  ///< [checkpoint] share of texts; empty without own answers
    std::vector<AttentionChange> changes{};
};

/// Errors: `mismatch` where checkpoints have other layers or heads, or were shown other texts.
AttentionFindings fold_records(const eval::RunRecord& run,
                               const std::vector<std::string>& checkpoints);

/// The layers of the first checkpoint whose best head has the highest retrieval score, ascending.
/// Errors: `mismatch` where no text has a needle, or no head copies from one.
std::vector<std::uint32_t> choose_retrieval_layers(const AttentionFindings& findings,
                                                   std::size_t count);

Json to_json(const AttentionFindings& findings);
report::Document to_document(const AttentionFindings& findings);
std::string to_text(const AttentionFindings& findings);

/// Writes report.html, summary.md and summary.json.
void write_reports(const AttentionFindings& findings, const std::filesystem::path& folder);

}  // namespace anamnesis::analysis
