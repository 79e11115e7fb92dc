// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// What is asked, and what is made of the answers.
class Evaluation {
public:
    virtual ~Evaluation() = default;

    /// All that answers depend on, but for the checkpoint.
    virtual Json settings() const = 0;
    virtual std::size_t total() const = 0;
    /// What of the plan is not asked, a sentence each.
    virtual std::vector<std::string> list_notes() const { return {}; }
    /// The items from the first on. Refuses what `facts` cannot carry when it is about to be asked.
    virtual NextItem start(const PreflightFacts& facts) = 0;

    /// Where a line of results belongs in a table of scores.
    struct Place {
        std::string row;
        std::string column;
        double score = 0.0;
    };
    virtual Place find_place(const Json& line) const = 0;

    /// How questions are decoded.
    virtual language::Sampling sampling() const { return {}; }

    /// Prompts to try an engine with, decoded greedily.
    virtual std::vector<Question> short_questions() = 0;
    virtual std::vector<Question> long_questions() = 0;
};

/// The part of `run_niah` and `run_reason` that they share.
EvaluationReport run_evaluation(Evaluation& evaluation,
                                const AskingJob& job,
                                Scoreboard& scoreboard,
                                const Watch& watch);

}  // namespace anamnesis::eval
