// SPDX-License-Identifier: Apache-2.0
#include "calibrate_plan.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"

#include "options/common.hpp"
#include "options/fit.hpp"

namespace anamnesis::app {
namespace {

/// Weights above this run as they are stored: in float32 they would be twice as large.
constexpr std::uint64_t most_widened_bytes = 4'000'000'000;

std::optional<DType> choose_dtype(const FitOptions& options, const restore::Plan& plan) {
    if (!options.dtype.empty()) {
        return parse_word(float_words, options.dtype, "--dtype");
    }
    return plan.post->checkpoint.tensor_bytes() <= most_widened_bytes ? std::optional(DType::f32)
                                                                      : std::nullopt;
}

}  // namespace

void calibrate_plan(restore::Plan& plan,
                    const FitOptions& options,
                    const CommonOptions& common,
                    const Watch& watch) {
    calibration::CalibrationJob job;
    job.running = {
        .dtype = choose_dtype(options, plan), .device = options.device, .threads = common.threads};
    if (!options.tokenizer.empty()) {
        job.running.tokenizer = options.tokenizer;
    }
    const checkpoint::Checkpoint& post = plan.post->checkpoint;
    job.recall =
        options.recall == "niah"
            ? calibration::make_needle_texts(*plan.post, job.running.tokenizer)
            : calibration::read_calibration_texts(options.recall, post, job.running.tokenizer);
    job.chains =
        options.chains == "own"
            ? calibration::write_own_chains(plan, options.questions, job.running, watch)
            : calibration::read_calibration_texts(options.chains, post, job.running.tokenizer);
    job.chooses_mu = options.chooses_mu();
    calibration::calibrate(plan, job, watch);
}

}  // namespace anamnesis::app
