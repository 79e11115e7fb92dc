// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::dissection {

/// What one set of weights predicts of one side's texts.
struct SideScore {
    double loss = 0.0;            ///< mean over texts of the mean -ln p of their predicted tokens
    eval::Interval interval{};    ///< bootstrap over texts, 95 %
    std::size_t right_texts = 0;  ///< in which every predicted token has the largest logit
    std::size_t texts = 0;
    /// (loss of post - loss) / (loss of post - loss of pre), paired by text; empty where nothing
    /// was lost (recall), or won (reasoning: the share of the gain that is kept).
    std::optional<double> share{};
    std::optional<eval::Interval> share_interval{};
};

/// Weights that were put together, and what came of it.
struct Outcome {
    std::string name{};                   ///< "q", "mlp@3", "q@3#0", "lerp all 0.7", "fit q,k 0.3"
    std::vector<std::string> commands{};  ///< what makes it on disk
    SideScore recall{};
    SideScore reasoning{};
    /// What is won of both sides, in shares of what separates pre and post, on the texts that
    /// choose; the scores are of those that tell.
    double worth = 0.0;
};

/// One candidate while the search narrows down: on how many of the texts that choose it was asked,
/// and what it won on them.
struct Candidate {
    std::string name{};
    std::string group{};
    std::optional<std::uint32_t> layer{};
    std::size_t texts = 0;
    double recall_gain = 0.0;     ///< -ln p, post less candidate: positive where recall comes back
    double reasoning_gain = 0.0;  ///< likewise; negative where reasoning is lost
    double reverse_recall_loss = 0.0;  ///< post's group in pre: what it costs pre of recall
    bool is_reversed = false;          ///< whether that was asked
};

struct Findings {
    Outcome pre{};
    Outcome post{};
    std::vector<Candidate> candidates{};  ///< the largest recall gain first
    std::vector<std::string> skipped{};   ///< candidates that change nothing, or cannot be put back
    std::vector<Outcome> found{};         ///< candidates that went to the end, and their unions
    std::vector<Outcome> methods{};       ///< repairs by the other methods
    std::string carrier{};                ///< the candidate that brings most recall back; or empty
    std::string best{};                   ///< the outcome with the largest worth
    double additive = 0.0;                ///< the worth of the parts of the best union, summed
    double together = 0.0;                ///< and of the union
    bool is_cut_short = false;            ///< the budget ended the search
    std::vector<std::string> warnings{};
};

/// The outcome that `best` names; null where there is none.
const Outcome* find_best(const Findings& findings);

Json to_json(const Findings& findings);
std::string to_text(const Findings& findings);
report::Document to_document(const Findings& findings);

/// Writes report.html, summary.md and summary.json into a folder. The path of the first.
std::filesystem::path write_report(const Findings& findings, const std::filesystem::path& folder);

}  // namespace anamnesis::dissection
