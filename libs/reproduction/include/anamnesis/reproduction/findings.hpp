// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"
#include "anamnesis/reproduction/variant.hpp"

namespace anamnesis::reproduction {

/// A figure of which every seed gave one value.
struct Estimate {
    std::vector<double> values{};
    double mean = 0.0;
    double deviation = 0.0;                    ///< over seeds; NaN for one
    std::optional<eval::Interval> interval{};  ///< 95 %, over seeds; absent for one seed
};

/// With Student's interval. Errors: `internal` without values.
Estimate make_estimate(std::vector<double> values);

/// The percent of right answers, with Wilson's interval for answers that are clustered by seed
/// (`eval::share_interval`): never outside 0 to 100.
/// Errors: `internal` without seeds, or for one without samples.
Estimate make_share_estimate(const std::vector<eval::ProblemCounts>& seeds);

enum class Verdict : std::uint8_t {
    held,      ///< the whole interval lies where the claim says
    not_held,  ///< the whole interval lies elsewhere
    open,      ///< these seeds do not settle it
};
std::string_view to_string(Verdict verdict) noexcept;

/// One of the paper's claims, held against the figures.
struct Claim {
    std::string text{};
    std::string measure{};  ///< what `estimate` is, in points unless it says otherwise
    Estimate estimate{};
    double low = 0.0;  ///< the claim: low < figure < high
    double high = 0.0;
    Verdict verdict = Verdict::open;
};

/// What a reproduction should reach, decided by means.
struct Goal {
    std::string text{};
    std::string figure{};
    bool is_reached = false;
};

/// Of a checkpoint, over seeds.
struct VariantFigures {
    Variant variant{};
    std::vector<std::vector<Estimate>> recall{};  ///< [needles][lengths], percent
    Estimate long_recall{};                       ///< mean over needles and the longest lengths
    Estimate reasoning{};                         ///< percent
    /// Of repairs: (repaired - post) / (pre - post) of the means over seeds, at the longest
    /// lengths; resamples draw seeds. Empty where nothing was lost.
    std::optional<eval::RecoveredShare> recovered{};
};

struct GradientFigures {
    analysis::Locality cot{};
    analysis::Locality retrieval{};
    Estimate cot_share{};  ///< percent of the gradient's magnitude at `far` tokens and more
    Estimate retrieval_share{};
};
/// What counts as far in a text of about 110 tokens.
inline constexpr std::size_t far = 32;

struct PartDrift {
    std::string part{};
    Estimate hybrid{};  ///< relative
    Estimate twin{};
};

struct Findings {
    Recipe recipe{};
    std::vector<std::uint64_t> seeds{};
    std::vector<std::size_t> long_lengths{};  ///< the two longest
    std::vector<VariantFigures> variants{};
    std::vector<Claim> claims{};
    std::vector<Goal> goals{};
    std::vector<PartDrift> drift{};
    GradientFigures gradients{};
    Estimate seconds{};
};

/// Errors: `internal` without seeds.
Findings find(const Recipe& recipe, const std::vector<SeedFindings>& seeds);

const VariantFigures& find_figures(const Findings& findings, std::string_view variant);

Json to_json(const Findings& findings);

}  // namespace anamnesis::reproduction
