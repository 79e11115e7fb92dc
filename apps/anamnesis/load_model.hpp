// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/language_model.hpp"

#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// A model that runs, and what was found in its files that is more than a note.
template <class Model>
struct WithFindings {
    std::unique_ptr<Model> model{};
    std::vector<checkpoint::Finding> findings{};
};
using LoadedModel = WithFindings<language::LanguageModel>;

/// Loads a model to run in this process. Each program links its own: the one without LibTorch
/// hands over before it comes to this, and has one that is an error.
LoadedModel load_model(const eval::AskedModel& model,
                       const ModelOptions& how,
                       const ReadingOptions& reading,
                       const CommonOptions& common);

}  // namespace anamnesis::app
