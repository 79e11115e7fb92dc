// SPDX-License-Identifier: Apache-2.0
#include "calibrate_plan.hpp"

#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "options/common.hpp"
#include "options/fit.hpp"

namespace anamnesis::app {

void calibrate_plan(restore::Plan& plan,
                    const FitOptions& options,
                    const CommonOptions& common,
                    const Watch& watch) {
    runtime::LoadOptions running{.device = options.device, .threads = common.threads};
    if (!options.dtype.empty()) {
        running.dtype = parse_word(float_words, options.dtype, "--dtype");
    }
    if (!options.tokenizer.empty()) {
        running.tokenizer = options.tokenizer;
    }
    calibration::CalibrationJob job = calibration::make_calibration_job(
        plan,
        {.recall = options.recall, .chains = options.chains, .questions = options.questions},
        running,
        watch);
    job.chooses_mu = options.chooses_mu();
    calibration::calibrate(plan, job, watch);
}

}  // namespace anamnesis::app
