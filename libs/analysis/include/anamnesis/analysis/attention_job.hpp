// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/analysis/attention_findings.hpp"
#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/analysis/needle_texts.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"

namespace anamnesis::analysis {

/// Where attention looks: every head of every checkpoint over the same texts.
struct AttentionJob {
    std::vector<eval::AskedModel> checkpoints{};
    ModelLoading loading{};
    std::optional<eval::HaystackPlan> needles{};  ///< prompts made here; absent: those of a file
    std::string prompts{};
    /// Retrieval over what the model itself writes, of at most so many tokens; absent: over the
    /// true answer.
    std::optional<std::size_t> own_answer_tokens{};
    std::vector<std::size_t> beyond{};  ///< distances whose share is told; empty: 1024, 4096, 16384
    std::filesystem::path out{};
    /// Writes OUT/layers.txt, so many layers with the highest retrieval score; 0: a quarter.
    std::optional<std::size_t> chosen_layers{};
};

struct AttentionResult {
    AttentionFindings findings{};
    std::vector<std::uint32_t> chosen_layers{};  ///< empty where none were asked for
};

/// Looks at what the folder does not hold yet, and writes report.html, summary.md and summary.json.
/// Errors: `usage` for the folder of another run; `mismatch` for checkpoints of different shapes,
///         and as `choose_retrieval_layers`; `cancelled` after a stop, which is seen between texts:
///         what was measured is kept; those of the files.
AttentionResult run_attention(const AttentionJob& job, const Watch& watch = {});

}  // namespace anamnesis::analysis
