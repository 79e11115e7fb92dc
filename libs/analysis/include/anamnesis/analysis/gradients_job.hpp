// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"

namespace anamnesis::analysis {

/// Where a loss reaches: gradients of the attention logits by distance, over the examples of one or
/// two data sets, or over the rows of a batch.
struct GradientsJob {
    eval::AskedModel model{};
    ModelLoading loading{};

    std::string rows{};     ///< a safetensors file with `input_ids` and `labels`; else
    std::string data{};     ///< JSON lines, as `read_examples` reads them
    std::string compare{};  ///< a second data set beside it; empty: none
    std::filesystem::path out{};

    std::size_t most_tokens = 8192;   ///< longer examples are cut
    std::size_t most_examples = 0;    ///< of each data set; 0: all
    bool supervises_prompts = false;  ///< the loss is on every token
    bool measures_bands = true;       ///< the gradients of the projections by distance band too
    std::uint32_t resamples = 1000;   ///< of the bootstrap
    std::uint64_t seed = 0;           ///< of the bootstrap
};

struct GradientsResult {
    GradientFindings findings{};
    std::optional<Json> rows{};  ///< of a batch of rows: every layer at every distance
};

/// Measures what the folder does not hold yet, and writes report.html, summary.md and summary.json.
/// Errors: `usage` for `compare` beside `rows`, or the folder of another run; `malformed` for two
///         examples of one id; `mismatch` for rows without a prediction; `cancelled` after a stop,
///         which is seen between examples: what was measured is kept; those of the files.
GradientsResult run_gradients(const GradientsJob& job, const Watch& watch = {});

}  // namespace anamnesis::analysis
