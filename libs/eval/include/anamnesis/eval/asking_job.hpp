// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// Who answers the questions of an evaluation, and where the answers go.
struct AskingJob {
    std::vector<AskedModel> models{};
    OpenEngine open{};
    /// The places of the models are names that a server knows, and not files. Then every engine is
    /// opened before the first question: it costs nothing, and one that cannot be asked ends the
    /// run at once.
    bool are_served = false;
    /// Counts the tokens of prompts; must outlive the job.
    const language::Tokenizer* tokenizer = nullptr;
    /// The tokenizer of every model's folder must read the prompts as the same tokens.
    bool compares_tokenizers = false;
    /// In what models do not run as their files say, for the run's settings; null: in nothing.
    Json running{};
    std::filesystem::path out{};
    Shard shard{};
    bool asks_twice = false;      ///< every question, to see whether the engine answers the same
    bool checks_engines = false;  ///< before anything is asked; one that fails ends the run
};

}  // namespace anamnesis::eval
