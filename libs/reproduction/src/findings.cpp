// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/findings.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"
#include "anamnesis/reproduction/variant.hpp"

#include "claims.hpp"

namespace anamnesis::reproduction {
namespace {

using train::synthetic::Exactness;

Estimate over_seeds(const std::vector<SeedFindings>& seeds,
                    const std::function<double(const SeedFindings&)>& figure) {
    std::vector<double> values;
    for (const SeedFindings& seed : seeds) {
        values.push_back(figure(seed));
    }
    return make_estimate(std::move(values));
}

double long_recall(const Measurement& measurement, const std::vector<std::size_t>& lengths) {
    double sum = 0.0;
    for (const std::size_t length : lengths) {
        sum += measurement.recall_percent(length);
    }
    return sum / static_cast<double>(lengths.size());
}

/// What one seed answered to questions of some kinds, all together.
eval::ProblemCounts count_answers(const std::vector<const Exactness*>& answers) {
    eval::ProblemCounts counts;
    for (const Exactness* exactness : answers) {
        counts.samples += exactness->outcomes.size();
        counts.correct += exactness->right();
    }
    return counts;
}

Estimate share_over_seeds(
    const std::vector<SeedFindings>& seeds,
    const std::function<std::vector<const Exactness*>(const SeedFindings&)>& answers) {
    std::vector<eval::ProblemCounts> counts;
    for (const SeedFindings& seed : seeds) {
        counts.push_back(count_answers(answers(seed)));
    }
    return make_share_estimate(counts);
}

VariantFigures figures_of_variant(const Variant& variant,
                                  const Recipe& recipe,
                                  const std::vector<SeedFindings>& seeds,
                                  const std::vector<std::size_t>& long_lengths) {
    using Answers = std::vector<const Exactness*>;
    VariantFigures figures{.variant = variant};
    const auto measured = [&](const SeedFindings& seed) -> const Measurement& {
        return seed.measurements.at(variant.name);
    };
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        figures.recall.emplace_back();
        for (const std::size_t length : recipe.lengths) {
            figures.recall.back().push_back(
                share_over_seeds(seeds, [&](const SeedFindings& seed) -> Answers {
                    return {&measured(seed).recall_answers(needle, length)};
                }));
        }
    }
    figures.long_recall = share_over_seeds(seeds, [&](const SeedFindings& seed) {
        Answers answers;
        for (std::size_t needle = 0; needle < needles.size(); ++needle) {
            for (const std::size_t length : long_lengths) {
                answers.push_back(&measured(seed).recall_answers(needle, length));
            }
        }
        return answers;
    });
    figures.reasoning = share_over_seeds(
        seeds, [&](const SeedFindings& seed) -> Answers { return {&measured(seed).reasoning}; });
    if (variant.repair) {
        const auto seed_values = [&](const std::string& name) {
            return over_seeds(seeds,
                              [&](const SeedFindings& seed) {
                                  return long_recall(seed.measurements.at(name), long_lengths);
                              })
                .values;
        };
        figures.recovered = eval::recovered_share(seed_values(variant.repair->pre),
                                                  seed_values(variant.repair->post),
                                                  seed_values(variant.name));
    }
    return figures;
}

/// Percent of the magnitude of all gradients that lies `far` tokens back and further.
double far_share(const std::vector<analysis::ExampleRecord>& records) {
    double near_sum = 0.0;
    double far_sum = 0.0;
    for (const analysis::ExampleRecord& record : records) {
        const auto bins = analysis::distance_bins(record.tokens);
        for (const analysis::LayerRecord& layer : record.layers) {
            for (const std::vector<double>& head : layer.sums) {
                for (std::size_t bin = 0; bin < head.size(); ++bin) {
                    (bins.at(bin).first >= far ? far_sum : near_sum) += head[bin];
                }
            }
        }
    }
    return 100.0 * far_sum / (near_sum + far_sum);
}

/// With a bootstrap interval over seeds, for a share that no samples are counted of.
Estimate within_values(Estimate estimate) {
    if (estimate.interval) {
        estimate.interval = eval::bootstrap_mean(estimate.values);
    }
    return estimate;
}

GradientFigures summarise_gradients(const std::vector<SeedFindings>& seeds) {
    const auto collect = [&](auto member) {
        std::vector<analysis::ExampleRecord> records;
        for (const SeedFindings& seed : seeds) {
            records.insert(records.end(), (seed.*member).begin(), (seed.*member).end());
        }
        return records;
    };
    const eval::BootstrapOptions bootstrap{.resamples = 1000};
    return {
        .cot = analysis::summarise(collect(&SeedFindings::cot_gradients), bootstrap),
        .retrieval = analysis::summarise(collect(&SeedFindings::retrieval_gradients), bootstrap),
        .cot_share = within_values(over_seeds(
            seeds, [](const SeedFindings& seed) { return far_share(seed.cot_gradients); })),
        .retrieval_share = within_values(over_seeds(
            seeds, [](const SeedFindings& seed) { return far_share(seed.retrieval_gradients); }))};
}

/// NaN for a part that a model does not have.
double find_drift(const std::vector<DriftRow>& rows, const std::string& part) {
    for (const DriftRow& row : rows) {
        if (row.part == part) {
            return row.relative;
        }
    }
    return std::numeric_limits<double>::quiet_NaN();
}

std::vector<PartDrift> summarise_drift(const std::vector<SeedFindings>& seeds) {
    std::vector<PartDrift> drifts;
    for (const DriftRow& row : seeds.front().drift) {
        drifts.push_back(
            {.part = row.part,
             .hybrid = over_seeds(
                 seeds, [&](const SeedFindings& seed) { return find_drift(seed.drift, row.part); }),
             .twin = over_seeds(seeds, [&](const SeedFindings& seed) {
                 return find_drift(seed.twin_drift, row.part);
             })});
    }
    return drifts;
}

}  // namespace

Estimate make_estimate(std::vector<double> values) {
    const eval::ClusteredMean mean = eval::clustered_mean(values);
    Estimate estimate{
        .values = std::move(values), .mean = mean.mean, .deviation = mean.standard_deviation};
    if (estimate.values.size() > 1) {
        estimate.interval = mean.student;
    }
    return estimate;
}

Estimate make_share_estimate(const std::vector<eval::ProblemCounts>& seeds) {
    std::vector<double> values;
    for (const eval::ProblemCounts& seed : seeds) {
        values.push_back(100.0 * static_cast<double>(seed.correct) /
                         static_cast<double>(seed.samples));
    }
    Estimate estimate = make_estimate(std::move(values));
    if (estimate.interval) {
        const eval::Interval interval = eval::share_interval(seeds);
        estimate.interval = eval::Interval{100.0 * interval.low, 100.0 * interval.high};
    }
    return estimate;
}

std::string_view to_string(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::held:
            return "held";
        case Verdict::not_held:
            return "did not hold";
        case Verdict::open:
            break;
    }
    return "not settled";
}

const VariantFigures& find_figures(const Findings& findings, std::string_view variant) {
    for (const VariantFigures& figures : findings.variants) {
        if (figures.variant.name == variant) {
            return figures;
        }
    }
    throw Error(ErrorKind::internal, format("there is no variant {}", in_quotes(variant)));
}

Findings find(const Recipe& recipe, const std::vector<SeedFindings>& seeds) {
    if (seeds.empty()) {
        throw Error(ErrorKind::internal, "a reproduction without seeds");
    }
    Findings findings{.recipe = recipe};
    for (const SeedFindings& seed : seeds) {
        findings.seeds.push_back(seed.seed);
    }
    const std::size_t longest = std::min<std::size_t>(2, recipe.lengths.size());
    findings.long_lengths.assign(recipe.lengths.end() - static_cast<std::ptrdiff_t>(longest),
                                 recipe.lengths.end());
    for (const Variant& variant : make_variants(findings.recipe)) {
        findings.variants.push_back(
            figures_of_variant(variant, recipe, seeds, findings.long_lengths));
    }
    findings.drift = summarise_drift(seeds);
    findings.gradients = summarise_gradients(seeds);
    findings.seconds = over_seeds(seeds, [](const SeedFindings& seed) { return seed.seconds; });
    findings.claims = make_claims(findings);
    findings.goals = evaluate_goals(findings);
    return findings;
}

}  // namespace anamnesis::reproduction
