// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/language_model.hpp"

#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Loads a checkpoint to run in this process; empty in the program without LibTorch.
using OpenModel =
    std::function<std::unique_ptr<language::LanguageModel>(const std::string& checkpoint,
                                                           const ModelOptions& how,
                                                           const ReadingOptions& reading,
                                                           const CommonOptions& common)>;

int run(const NiahOptions& options, Terminal& terminal, const OpenModel& open, const Watch& watch);
int run(const ReasonOptions& options,
        Terminal& terminal,
        const OpenModel& open,
        const Watch& watch);

}  // namespace anamnesis::app
