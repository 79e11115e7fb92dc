// SPDX-License-Identifier: Apache-2.0
#include "claims.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/variant.hpp"

namespace anamnesis::reproduction {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double tolerance = 5.0;  ///< points that count as nothing
/// Recall, in percent, below which a model has learned too little to lose or win back.
constexpr double least_recall = 50.0;

struct Range {
    double low = -infinity;
    double high = infinity;
};
constexpr Range above_zero{.low = 0.0};
constexpr Range below_zero{.high = 0.0};
constexpr Range no_loss{.low = -tolerance};
constexpr Range no_loss_of_two{.low = -2.0};
constexpr Range no_change{.low = -tolerance, .high = tolerance};

Estimate difference(const Estimate& first, const Estimate& second) {
    std::vector<double> values;
    for (std::size_t i = 0; i < first.values.size(); ++i) {
        values.push_back(first.values[i] - second.values[i]);
    }
    return make_estimate(std::move(values));
}

/// Of two percentages, which no interval leads out of.
Estimate point_difference(const Estimate& first, const Estimate& second) {
    Estimate estimate = difference(first, second);
    if (estimate.interval) {
        estimate.interval = eval::Interval{std::max(-100.0, estimate.interval->low),
                                           std::min(100.0, estimate.interval->high)};
    }
    return estimate;
}

Estimate compute_mean(const std::vector<Estimate>& estimates) {
    std::vector<double> values(estimates.front().values.size());
    for (const Estimate& estimate : estimates) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] += estimate.values[i] / static_cast<double>(estimates.size());
        }
    }
    return make_estimate(std::move(values));
}

/// Recall of one needle at the longest lengths.
Estimate long_recall(const Findings& findings, const std::string& variant, std::size_t needle) {
    const auto& row = find_figures(findings, variant).recall.at(needle);
    return compute_mean(
        {row.end() - static_cast<std::ptrdiff_t>(findings.long_lengths.size()), row.end()});
}

/// Recall over all needles at the shortest length.
Estimate short_recall(const Findings& findings, const std::string& variant) {
    std::vector<Estimate> estimates;
    for (const auto& row : find_figures(findings, variant).recall) {
        estimates.push_back(row.front());
    }
    return compute_mean(estimates);
}

Verdict decide_verdict(const Estimate& estimate, const Range& range) {
    if (!estimate.interval) {
        return Verdict::open;
    }
    const eval::Interval& interval = *estimate.interval;
    if (interval.low > range.low && interval.high < range.high) {
        return Verdict::held;
    }
    return interval.high <= range.low || interval.low >= range.high ? Verdict::not_held
                                                                    : Verdict::open;
}

Claim claim(std::string text, std::string measure, Estimate estimate, const Range& range) {
    const Verdict verdict = decide_verdict(estimate, range);
    return {.text = std::move(text),
            .measure = std::move(measure),
            .estimate = std::move(estimate),
            .low = range.low,
            .high = range.high,
            .verdict = verdict};
}

/// The repair that wins most recall back while reasoning stays within the tolerance; null where
/// none keeps it.
const VariantFigures* best_repair(const Findings& findings) {
    const double reasoning = find_figures(findings, "post").reasoning.mean;
    const VariantFigures* best = nullptr;
    for (const VariantFigures& figures : findings.variants) {
        if (!figures.variant.repair || figures.variant.repair->post != "post" ||
            figures.reasoning.mean < reasoning - tolerance) {
            continue;
        }
        if (best == nullptr || figures.long_recall.mean > best->long_recall.mean) {
            best = &figures;
        }
    }
    return best;
}

/// NaN where nothing was lost, or there is no repair.
double recovered_share(const VariantFigures* repair) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return repair != nullptr && repair->recovered ? repair->recovered->share.value_or(none) : none;
}

std::string points(double value) {
    return format("{:.1f}", value);
}

/// Collects claims on differences of two checkpoints.
class ClaimList {
public:
    explicit ClaimList(const Findings& findings) : findings_(findings) {}

    const Findings& findings() const { return findings_; }

    void add(std::string text, std::string measure, Estimate estimate, Range range) {
        claims_.push_back(claim(std::move(text), std::move(measure), std::move(estimate), range));
    }

    Estimate recall(std::string_view first, std::string_view second) const {
        return point_difference(find_figures(findings_, first).long_recall,
                                find_figures(findings_, second).long_recall);
    }

    Estimate reasoning(std::string_view first, std::string_view second) const {
        return point_difference(find_figures(findings_, first).reasoning,
                                find_figures(findings_, second).reasoning);
    }

    void leave_last_open() { claims_.back().verdict = Verdict::open; }
    std::vector<Claim> take() { return std::move(claims_); }

private:
    const Findings& findings_;
    std::vector<Claim> claims_;
};

void claim_damage(ClaimList& claims) {
    const Findings& findings = claims.findings();
    const auto loss = [&](std::size_t needle) {
        return difference(long_recall(findings, "pre", needle),
                          long_recall(findings, "post", needle));
    };
    claims.add("Fine-tuning on chains of thought raises reasoning",
               "reasoning, post - pre",
               claims.reasoning("post", "pre"),
               above_zero);
    claims.add("It lowers long-range recall",
               "recall, post - pre",
               claims.recall("post", "pre"),
               below_zero);
    claims.add(
        "The loss is larger in longer contexts",
        "loss at the longest lengths - loss at the shortest",
        difference(claims.recall("pre", "post"),
                   difference(short_recall(findings, "pre"), short_recall(findings, "post"))),
        above_zero);
    claims.add("The loss is larger for harder needles",
               "loss, S3 - S1",
               difference(loss(2), loss(0)),
               above_zero);
}

void claim_repair(ClaimList& claims) {
    const std::vector<double>& lambdas = claims.findings().recipe.lambdas;
    const std::string pro = pro_name(lambdas.size() > 1 ? lambdas[1] : lambdas.front());
    claims.add("W_Q and W_K of pre bring recall back",
               "recall, qk - post",
               claims.recall("qk", "post"),
               above_zero);
    claims.add(
        "They keep reasoning", "reasoning, qk - post", claims.reasoning("qk", "post"), no_loss);
    claims.add(
        "W_Q alone brings back less", "recall, qk - q", claims.recall("qk", "q"), above_zero);
    claims.add(
        "W_K alone brings back less", "recall, qk - k", claims.recall("qk", "k"), above_zero);
    claims.add(
        "W_V brings nothing back", "recall, v - post", claims.recall("v", "post"), no_change);
    claims.add("QK-Pro keeps more reasoning than QK-Restore",
               format("reasoning, {} - qk", pro),
               claims.reasoning(pro, "qk"),
               above_zero);
    claims.add("QK-Pro brings back less recall than QK-Restore",
               format("recall, {} - qk", pro),
               claims.recall(pro, "qk"),
               below_zero);
    claims.add("Restoring beats training with W_Q and W_K frozen",
               "recall, qk - frozen",
               claims.recall("qk", "frozen"),
               above_zero);
    claims.add("Fine-tuning without chains of thought costs no recall",
               "recall, instruct - pre",
               claims.recall("instruct", "pre"),
               no_loss);
}

/// Of each seed the repair by pro or lerp with the largest sum of recall and reasoning: its recall
/// and its reasoning.
std::pair<Estimate, Estimate> find_best_of_paper(const Findings& findings) {
    std::vector<double> recall;
    std::vector<double> reasoning;
    for (std::size_t seed = 0; seed < findings.seeds.size(); ++seed) {
        double best = -infinity;
        recall.push_back(0.0);
        reasoning.push_back(0.0);
        for (const VariantFigures& figures : findings.variants) {
            const std::string& name = figures.variant.name;
            if (name != "lerp" && !name.starts_with("pro-")) {
                continue;
            }
            const double recalled = figures.long_recall.values.at(seed);
            const double reasoned = figures.reasoning.values.at(seed);
            if (recalled + reasoned > best) {
                best = recalled + reasoned;
                recall.back() = recalled;
                reasoning.back() = reasoned;
            }
        }
    }
    return {make_estimate(std::move(recall)), make_estimate(std::move(reasoning))};
}

void claim_fit(ClaimList& claims) {
    claims.add("The calibrated repair keeps more reasoning than QK-Restore (ours)",
               "reasoning, fit - qk",
               claims.reasoning(fit_name, "qk"),
               above_zero);
    claims.add("It brings back as much recall (ours)",
               "recall, fit - qk",
               claims.recall(fit_name, "qk"),
               no_loss_of_two);
    const auto [recall, reasoning] = find_best_of_paper(claims.findings());
    for (const char* name : {fit_name, "fit-qkvo"}) {
        const VariantFigures& figures = find_figures(claims.findings(), name);
        claims.add(
            format("{} reasons better than the best of QK-Pro and lerp on each seed (ours)", name),
            format("reasoning, {} - best of pro and lerp", name),
            difference(figures.reasoning, reasoning),
            above_zero);
        claims.add(
            format("{} recalls more than the best of QK-Pro and lerp on each seed (ours)", name),
            format("recall, {} - best of pro and lerp", name),
            difference(figures.long_recall, recall),
            above_zero);
    }
}

void claim_twin(ClaimList& claims) {
    const double of_twin = find_figures(claims.findings(), "softmax-pre").long_recall.mean;
    const auto add = [&](const char* text, std::string measure, Estimate estimate, Range range) {
        if (of_twin < least_recall) {
            measure += format(" (softmax-pre has {} %: too little to tell)", points(of_twin));
        }
        claims.add(text, std::move(measure), std::move(estimate), range);
        if (of_twin < least_recall) {
            claims.leave_last_open();
        }
    };
    add("A pure softmax model loses recall too",
        "recall, softmax-post - softmax-pre",
        claims.recall("softmax-post", "softmax-pre"),
        below_zero);
    add("There the repair brings nothing back",
        "recall, softmax-qk - softmax-post",
        claims.recall("softmax-qk", "softmax-post"),
        no_change);
}

void claim_causes(ClaimList& claims) {
    const Findings& findings = claims.findings();
    const auto part = [&](const char* name) {
        return std::ranges::find(findings.drift, name, &PartDrift::part)->hybrid;
    };
    claims.add("The gradients of chains of thought reach less far than those of retrieval",
               format("share of the gradient at {} tokens and more, CoT - retrieval", far),
               difference(findings.gradients.cot_share, findings.gradients.retrieval_share),
               below_zero);
    claims.add(
        "W_Q and W_K of softmax layers drift further than W_V and W_O",
        "relative drift, mean of q, k - mean of v, o",
        difference(compute_mean({part("q"), part("k")}), compute_mean({part("v"), part("o")})),
        above_zero);
}

}  // namespace

std::vector<Claim> make_claims(const Findings& findings) {
    ClaimList claims(findings);
    claim_damage(claims);
    claim_repair(claims);
    claim_fit(claims);
    if (!findings.recipe.twin.is_null()) {
        claim_twin(claims);
    }
    claim_causes(claims);
    return claims.take();
}

std::vector<Goal> evaluate_goals(const Findings& findings) {
    std::vector<Goal> goals;
    const VariantFigures& pre = find_figures(findings, "pre");
    const VariantFigures& post = find_figures(findings, "post");
    double lowest = 100.0;
    for (const auto& row : pre.recall) {
        for (const Estimate& estimate : row) {
            lowest = std::min(lowest, estimate.mean);
        }
    }
    goals.push_back({.text = "pre recalls at least 98 % of every needle at every length",
                     .figure = format("lowest {} %", points(lowest)),
                     .is_reached = lowest >= 98.0});
    goals.push_back(
        {.text = "reasoning rises from at most 5 % to at least 95 %",
         .figure = format("{} % to {} %", points(pre.reasoning.mean), points(post.reasoning.mean)),
         .is_reached = pre.reasoning.mean <= 5.0 && post.reasoning.mean >= 95.0});
    const double lost = pre.long_recall.mean - post.long_recall.mean;
    goals.push_back({.text = "at least 30 points of recall are lost at the longest lengths",
                     .figure = format("{} points", points(lost)),
                     .is_reached = lost >= 30.0});
    const auto loss = [&](std::size_t needle) {
        return long_recall(findings, "pre", needle).mean -
               long_recall(findings, "post", needle).mean;
    };
    goals.push_back({.text = "more of S3 than of S1",
                     .figure = format("{} against {} points", points(loss(2)), points(loss(0))),
                     .is_reached = loss(2) > loss(0)});
    const VariantFigures* best = best_repair(findings);
    const double share = recovered_share(best);
    goals.push_back(
        {.text = "the best repair wins at least 60 % of the loss back, reasoning within 5 points",
         .figure = !std::isnan(share)
                       ? format("{}: {} %, reasoning {:+.1f} points",
                                best->variant.name,
                                points(100.0 * share),
                                best->reasoning.mean - post.reasoning.mean)
                       : std::string("no repair keeps reasoning, or nothing was lost"),
         .is_reached = share >= 0.6});
    const double v = find_figures(findings, "v").long_recall.mean - post.long_recall.mean;
    goals.push_back({.text = "W_V alone stays within 5 points of post",
                     .figure = format("{:+.1f} points", v),
                     .is_reached = v < tolerance && v > -tolerance});
    if (findings.recipe.name != "wide") {
        goals.push_back({.text = "one seed takes at most 15 minutes",
                         .figure = format("{:.1f} minutes", findings.seconds.mean / 60.0),
                         .is_reached = findings.seconds.mean <= 900.0});
    }
    return goals;
}

}  // namespace anamnesis::reproduction
