// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/evaluation.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// What is asked, and what is made of the answers.
class Evaluation {
public:
    virtual ~Evaluation() = default;

    /// All that answers depend on, but for the checkpoint.
    virtual Json settings() const = 0;
    virtual std::size_t total() const = 0;
    /// The items from the first on. Refuses what `facts` cannot carry when it is about to be asked.
    virtual eval::NextItem start(const eval::PreflightFacts& facts) = 0;

    /// Where a line of results stands in the live table.
    struct Place {
        std::string row;
        std::string column;
        double score = 0.0;
    };
    virtual Place place_of(const Json& line) const = 0;

    /// Prompts to try an engine with, decoded greedily.
    virtual std::vector<eval::Question> short_questions() = 0;
    virtual std::vector<eval::Question> long_questions() = 0;

    /// Writes the reports of a whole run and prints its figures.
    virtual void finish(Terminal& terminal) = 0;
};

/// Asks every checkpoint what its folder does not hold yet; goes on where it was stopped.
///
/// Errors: `io` where questions stay without an answer, `cancelled` after an interruption,
///         `mismatch` for an engine that fails its check or a tokenizer of its own.
void run_evaluation(Evaluation& evaluation,
                    const AskingOptions& asking,
                    const CommonOptions& common,
                    const language::Tokenizer& tokenizer,
                    Terminal& terminal,
                    const OpenModel& open,
                    const Watch& watch);

}  // namespace anamnesis::app
