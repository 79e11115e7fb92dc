// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"

namespace anamnesis::reproduction {
namespace {

Json to_json(const eval::Interval& interval) {
    return Json::Array{interval.low, interval.high};
}

Json to_json(const Estimate& estimate) {
    Json values = Json::array();
    for (const double value : estimate.values) {
        values.push_back(value);
    }
    return Json::Object{{"mean", estimate.mean},
                        {"deviation", estimate.deviation},
                        {"interval", estimate.interval ? to_json(*estimate.interval) : Json()},
                        {"values", std::move(values)}};
}

Json to_json(const VariantFigures& figures, const Recipe& recipe) {
    Json recall = Json::object();
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        Json lengths = Json::object();
        for (std::size_t i = 0; i < recipe.lengths.size(); ++i) {
            lengths.set(format("{}", recipe.lengths[i]), to_json(figures.recall[needle][i]));
        }
        recall.set(needles.at(needle).name, std::move(lengths));
    }
    Json json = Json::Object{{"description", figures.variant.description},
                             {"recall", std::move(recall)},
                             {"long_recall", to_json(figures.long_recall)},
                             {"reasoning", to_json(figures.reasoning)}};
    if (figures.recovered && figures.recovered->share) {
        json.set("recovered_share", *figures.recovered->share);
        json.set("recovered_interval",
                 figures.recovered->interval ? to_json(*figures.recovered->interval) : Json());
    }
    return json;
}

Json to_json(const Claim& claim) {
    const auto bound = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
    return Json::Object{{"claim", claim.text},
                        {"figure", claim.measure},
                        {"estimate", to_json(claim.estimate)},
                        {"above", bound(claim.low)},
                        {"below", bound(claim.high)},
                        {"verdict", to_string(claim.verdict)}};
}

Json to_json(const analysis::Curve& curve) {
    Json points = Json::array();
    for (const analysis::CurvePoint& point : curve.points) {
        points.push_back(Json::Object{{"first", std::uint64_t{point.bin.first}},
                                      {"end", std::uint64_t{point.bin.end}},
                                      {"value", point.value}});
    }
    return Json::Object{
        {"decay_length", curve.fit.is_exponential ? Json(curve.fit.length) : Json()},
        {"interval", curve.length_interval ? to_json(*curve.length_interval) : Json()},
        {"why_not", curve.fit.reason},
        {"points", std::move(points)}};
}

}  // namespace

Json to_json(const Findings& findings) {
    Json seeds = Json::array();
    for (const std::uint64_t seed : findings.seeds) {
        seeds.push_back(seed);
    }
    Json variants = Json::object();
    for (const VariantFigures& figures : findings.variants) {
        variants.set(figures.variant.name, to_json(figures, findings.recipe));
    }
    Json claims = Json::array();
    for (const Claim& claim : findings.claims) {
        claims.push_back(to_json(claim));
    }
    Json goals = Json::array();
    for (const Goal& goal : findings.goals) {
        goals.push_back(Json::Object{
            {"goal", goal.text}, {"figure", goal.figure}, {"is_reached", goal.is_reached}});
    }
    Json drift = Json::object();
    for (const PartDrift& part : findings.drift) {
        drift.set(part.part,
                  Json::Object{{"hybrid", to_json(part.hybrid)}, {"twin", to_json(part.twin)}});
    }
    return Json::Object{
        {"recipe", to_json(findings.recipe)},
        {"seeds", std::move(seeds)},
        {"seconds", to_json(findings.seconds)},
        {"checkpoints", std::move(variants)},
        {"claims", std::move(claims)},
        {"goals", std::move(goals)},
        {"drift", std::move(drift)},
        {"gradients",
         Json::Object{{"cot", to_json(findings.gradients.cot.curve)},
                      {"retrieval", to_json(findings.gradients.retrieval.curve)},
                      {"far", std::uint64_t{far}},
                      {"cot_far_percent", to_json(findings.gradients.cot_share)},
                      {"retrieval_far_percent", to_json(findings.gradients.retrieval_share)}}}};
}

}  // namespace anamnesis::reproduction
