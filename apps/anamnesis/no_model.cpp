// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/restore/plan.hpp"

#include "calibrate_plan.hpp"
#include "load_model.hpp"

namespace anamnesis::app {

LoadedModel load_model(const eval::AskedModel& /*model*/,
                       const ModelOptions& /*how*/,
                       const ReadingOptions& /*reading*/,
                       const CommonOptions& /*common*/) {
    throw Error(ErrorKind::internal, "this program runs no model");
}

void calibrate_plan(restore::Plan& /*plan*/,
                    const FitOptions& /*options*/,
                    const CommonOptions& /*common*/,
                    const Watch& /*watch*/) {
    throw Error(ErrorKind::internal, "this program runs no model");
}

}  // namespace anamnesis::app
