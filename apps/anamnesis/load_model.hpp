// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/language_model.hpp"

#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// Loads a model to run in this process. Each program links its own: the one without LibTorch
/// hands over before it comes to this, and has one that is an error.
std::unique_ptr<language::LanguageModel> load_model(const eval::AskedModel& model,
                                                    const ModelOptions& how,
                                                    const ReadingOptions& reading,
                                                    const CommonOptions& common);

}  // namespace anamnesis::app
