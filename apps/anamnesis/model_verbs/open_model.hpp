// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "load_model.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

using OpenedModel = WithFindings<runtime::HybridModel>;

/// Opens, recognises and loads the model of a command line, and says what was found.
OpenedModel open_model(const eval::AskedModel& model,
                       const ModelOptions& options,
                       const ReadingOptions& reading,
                       const CommonOptions& common);

/// How the jobs that look into a model read and run it.
analysis::ModelLoading make_loading(const ModelOptions& options,
                                    const ReadingOptions& reading,
                                    const CommonOptions& common);

}  // namespace anamnesis::app
