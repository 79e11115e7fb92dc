// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/equal_weights.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::calibration {
namespace {

/// Weights above this run as they are stored: in float32 they would be twice as large.
constexpr std::uint64_t most_widened_bytes = 4'000'000'000;

}  // namespace

CalibrationTexts open_recall_texts(const std::string& source,
                                   const checkpoint::RecognisedCheckpoint& post,
                                   const std::optional<std::filesystem::path>& tokenizer) {
    return source == "niah" ? make_needle_texts(post, tokenizer)
                            : read_calibration_texts(source, post.checkpoint, tokenizer);
}

CalibrationJob make_calibration_job(const restore::Plan& plan,
                                    const CalibrationSources& sources,
                                    runtime::LoadOptions running,
                                    const Watch& watch) {
    restore::require_unequal_rows(plan, watch);
    const checkpoint::Checkpoint& post = plan.post->checkpoint;
    if (!running.dtype && post.tensor_bytes() <= most_widened_bytes) {
        running.dtype = DType::f32;
    }
    CalibrationJob job;
    job.recall = open_recall_texts(sources.recall, *plan.post, running.tokenizer);
    job.chains = sources.chains == "own"
                     ? write_own_chains(plan, sources.questions, running, watch)
                     : read_calibration_texts(sources.chains, post, running.tokenizer);
    job.running = std::move(running);
    return job;
}

}  // namespace anamnesis::calibration
