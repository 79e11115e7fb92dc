// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/findings.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/document.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"
#include "anamnesis/reproduction/variant.hpp"

namespace anamnesis::reproduction {
namespace {

using ::testing::HasSubstr;
using train::synthetic::Exactness;

/// `percent` of 100 samples.
Exactness share(int percent) {
    Exactness exactness;
    for (int i = 0; i < 100; ++i) {
        exactness.outcomes.push_back(i < percent);
    }
    return exactness;
}

/// Recall of each needle at every length, `step` points less at each longer one, and reasoning.
Measurement measured(const Recipe& recipe, std::vector<int> recall, int step, int reasoning) {
    Measurement measurement{.lengths = recipe.lengths};
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        for (std::size_t i = 0; i < recipe.lengths.size(); ++i) {
            measurement.recall.at(needle).push_back(
                share(recall[needle] - step * static_cast<int>(i)));
        }
    }
    measurement.reasoning = share(reasoning);
    return measurement;
}

/// Texts of 64 tokens whose gradients decay with this length.
std::vector<analysis::ExampleRecord> gradients(double decay_length) {
    analysis::ExampleRecord record{
        .id = "0", .tokens = 64, .predictions = 10, .loss = 1.0, .layers = {{.layer = 1}}};
    const auto bins = analysis::distance_bins(64);
    analysis::LayerRecord& layer = record.layers.front();
    layer.sums.emplace_back();
    for (const analysis::DistanceBin& bin : bins) {
        const double pairs = static_cast<double>(bin.end - bin.first);
        layer.pairs.push_back(pairs);
        layer.sums.front().push_back(pairs * std::exp(-bin.middle() / decay_length));
    }
    return {record, record};
}

/// A seed in which the paper's story happens; `shift` makes seeds differ.
SeedFindings story(const Recipe& recipe, std::uint64_t seed, int shift) {
    SeedFindings findings{.seed = seed, .seconds = 300.0};
    for (const Variant& variant : make_variants(recipe)) {
        const std::string& name = variant.name;
        Measurement measurement = measured(recipe, {98, 98, 98}, 0, 0);
        if (name == "post" || name == "v") {
            measurement = measured(recipe, {80 - shift, 70 - shift, 40 - shift}, 5, 99);
        } else if (name == "qk") {
            measurement = measured(recipe, {95, 94 - shift, 90}, 1, 98);
        } else if (name == "q" || name == "k" || name == "frozen" || name == "lerp" ||
                   name == "qkvo" || name.starts_with("pro")) {
            measurement = measured(recipe, {85 - shift, 80, 60}, 3, 99);
        } else if (name == "softmax-post" || name == "softmax-qk") {
            measurement = measured(recipe, {50 - shift, 40, 30}, 5, 99);
        }
        findings.measurements.emplace(name, measurement);
    }
    for (const char* part : {"q", "k", "v", "o", "mlp"}) {
        const bool is_routing = *part == 'q' || *part == 'k';
        findings.drift.push_back(
            {.part = part, .relative = (is_routing ? 0.2 : 0.1) + 0.001 * shift});
        findings.twin_drift.push_back({.part = part, .relative = 0.1});
    }
    findings.cot_gradients = gradients(4.0 + 0.1 * shift);
    findings.retrieval_gradients = gradients(20.0);
    return findings;
}

std::vector<SeedFindings> stories(const Recipe& recipe, int count) {
    std::vector<SeedFindings> seeds;
    for (int i = 0; i < count; ++i) {
        seeds.push_back(story(recipe, static_cast<std::uint64_t>(i), i));
    }
    return seeds;
}

const Claim& find_claim(const Findings& findings, std::string_view text) {
    for (const Claim& claim : findings.claims) {
        if (claim.text == text) {
            return claim;
        }
    }
    throw Error(ErrorKind::internal, "there is no such claim");
}

const Goal& find_goal(const Findings& findings, std::string_view beginning) {
    for (const Goal& goal : findings.goals) {
        if (goal.text.starts_with(beginning)) {
            return goal;
        }
    }
    throw Error(ErrorKind::internal, "there is no such goal");
}

TEST(Findings, CallAClaimHeldWhereItsIntervalLiesOnItsSide) {
    const Recipe recipe = standard_recipe();
    const Findings findings = find(recipe, stories(recipe, 5));
    for (const char* text : {"Fine-tuning on chains of thought raises reasoning",
                             "It lowers long-range recall",
                             "The loss is larger in longer contexts",
                             "The loss is larger for harder needles",
                             "W_Q and W_K of pre bring recall back",
                             "They keep reasoning",
                             "W_Q alone brings back less",
                             "W_V brings nothing back",
                             "Restoring beats training with W_Q and W_K frozen",
                             "Fine-tuning without chains of thought costs no recall",
                             "There the repair brings nothing back",
                             "W_Q and W_K of softmax layers drift further than W_V and W_O"}) {
        EXPECT_EQ(find_claim(findings, text).verdict, Verdict::held) << text;
    }
    EXPECT_EQ(
        find_claim(findings,
                   "The gradients of chains of thought reach less far than those of retrieval")
            .verdict,
        Verdict::held);
}

TEST(Findings, CallAClaimNotHeldWhereItsIntervalLiesOnTheOther) {
    const Recipe recipe = standard_recipe();
    std::vector<SeedFindings> seeds = stories(recipe, 5);
    for (SeedFindings& seed : seeds) {
        std::swap(seed.measurements.at("pre"), seed.measurements.at("post"));
        std::swap(seed.measurements.at("qk"), seed.measurements.at("q"));
        seed.measurements.at("v") = seed.measurements.at("pre");
    }
    const Findings findings = find(recipe, seeds);
    for (const char* text : {"Fine-tuning on chains of thought raises reasoning",
                             "It lowers long-range recall",
                             "W_Q alone brings back less",
                             "W_V brings nothing back"}) {
        EXPECT_EQ(find_claim(findings, text).verdict, Verdict::not_held) << text;
    }
}

TEST(Findings, LeaveAClaimOpenForOneSeedOrWhereSeedsDisagree) {
    const Recipe recipe = standard_recipe();
    for (const Claim& claim : find(recipe, stories(recipe, 1)).claims) {
        EXPECT_EQ(claim.verdict, Verdict::open) << claim.text;
    }
    std::vector<SeedFindings> seeds = stories(recipe, 3);
    seeds[1].measurements.at("qk") = measured(recipe, {20, 20, 20}, 0, 99);
    EXPECT_EQ(find_claim(find(recipe, seeds), "W_Q and W_K of pre bring recall back").verdict,
              Verdict::open);
}

TEST(Findings, LeaveClaimsOfATwinOpenThatHasLearnedNothing) {
    const Recipe recipe = standard_recipe();
    std::vector<SeedFindings> seeds = stories(recipe, 5);
    for (SeedFindings& seed : seeds) {
        for (const char* name : {"softmax-pre", "softmax-post", "softmax-qk"}) {
            seed.measurements.at(name) = measured(recipe, {2, 1, 0}, 0, 0);
        }
    }
    const Claim& claim = find_claim(find(recipe, seeds), "There the repair brings nothing back");
    EXPECT_EQ(claim.verdict, Verdict::open);
    EXPECT_THAT(claim.measure, HasSubstr("too little to tell"));
}

TEST(Findings, ClaimNothingOfATwinThatIsNotMade) {
    const Recipe recipe = wide_recipe();
    const std::vector<SeedFindings> seeds = stories(recipe, 5);
    EXPECT_FALSE(seeds.front().measurements.contains("softmax-pre"));
    const Findings findings = find(recipe, seeds);
    EXPECT_EQ(find_claim(findings, "It lowers long-range recall").verdict, Verdict::held);
    for (const Claim& claim : findings.claims) {
        EXPECT_THAT(claim.measure, ::testing::Not(HasSubstr("softmax-")));
    }
    EXPECT_THAT(report::to_markdown(to_document(findings)),
                ::testing::Not(HasSubstr("softmax twin")));
}

TEST(Findings, MeasureWhatComesBackAtTheTwoLongestLengths) {
    const Recipe recipe = standard_recipe();
    const Findings findings = find(recipe, stories(recipe, 1));
    EXPECT_THAT(findings.long_lengths, ::testing::ElementsAre(1024U, 2048U));
    // pre 98; post (80 + 70 + 40) / 3 less 10 and 15; qk (95 + 94 + 90) / 3 less 2 and 3.
    const double post = 190.0 / 3.0 - 12.5;
    const double qk = 93.0 - 2.5;
    EXPECT_NEAR(find_figures(findings, "post").long_recall.mean, post, 1e-9);
    EXPECT_NEAR(
        find_figures(findings, "qk").recovered->share.value(), (qk - post) / (98.0 - post), 1e-9);
    EXPECT_NEAR(find_figures(findings, "v").recovered->share.value(), 0.0, 1e-9);
    EXPECT_FALSE(find_figures(findings, "post").recovered);
}

TEST(Findings, DecideGoalsByMeans) {
    const Recipe recipe = standard_recipe();
    std::vector<SeedFindings> seeds = stories(recipe, 2);
    Findings findings = find(recipe, seeds);
    for (const Goal& goal : findings.goals) {
        EXPECT_TRUE(goal.is_reached) << goal.text << ": " << goal.figure;
    }
    EXPECT_THAT(find_goal(findings, "the best repair").figure, HasSubstr("qk: "));
    // A repair that costs reasoning is not the best one, however much recall it wins.
    for (SeedFindings& seed : seeds) {
        seed.measurements.at("qk").reasoning = share(90);
        seed.measurements.at("pre").recall.at(2).back() = share(97);
        seed.seconds = 1000.0;
    }
    findings = find(recipe, seeds);
    EXPECT_THAT(find_goal(findings, "the best repair").figure, ::testing::Not(HasSubstr("qk: ")));
    EXPECT_FALSE(find_goal(findings, "the best repair").is_reached);
    EXPECT_FALSE(find_goal(findings, "pre recalls").is_reached);
    EXPECT_FALSE(find_goal(findings, "one seed takes").is_reached);
}

TEST(Findings, AreTheSameOnThePageInTextAndInJson) {
    const Recipe recipe = standard_recipe();
    const Findings findings = find(recipe, stories(recipe, 3));
    const Json json = to_json(findings);
    const std::string markdown = report::to_markdown(to_document(findings));
    const std::string text = to_text(findings);
    ASSERT_EQ(json.at("claims").as_array("claims").size(), findings.claims.size());
    for (const Claim& claim : findings.claims) {
        EXPECT_THAT(text, HasSubstr(claim.text));
    }
    for (const Goal& goal : findings.goals) {
        EXPECT_THAT(text, HasSubstr(goal.figure));
    }
    for (const VariantFigures& figures : findings.variants) {
        const Json& values = json.at("checkpoints").at(figures.variant.name).at("reasoning");
        EXPECT_EQ(values.at("mean").as_double("mean"), figures.reasoning.mean);
        EXPECT_THAT(markdown, HasSubstr("| " + figures.variant.name + " |"));
    }
    const std::string page = report::to_html(to_document(findings));
    EXPECT_THAT(page, HasSubstr("<svg"));
    for (const Claim& claim : findings.claims) {
        EXPECT_THAT(page, HasSubstr(claim.text));
    }
}

TEST(ShareEstimate, HasAnIntervalWithinZeroAndAHundred) {
    const Estimate near_all = make_share_estimate({{.samples = 50, .correct = 50},
                                                   {.samples = 50, .correct = 48},
                                                   {.samples = 50, .correct = 50}});
    EXPECT_NEAR(near_all.mean, 98.6667, 1e-3);
    ASSERT_TRUE(near_all.interval.has_value());
    EXPECT_LE(near_all.interval->high, 100.0);
    EXPECT_LT(near_all.interval->low, near_all.mean);
    EXPECT_GT(near_all.interval->high, near_all.mean);
    const Estimate none =
        make_share_estimate({{.samples = 50, .correct = 0}, {.samples = 50, .correct = 0}});
    EXPECT_GE(none.interval->low, 0.0);
    EXPECT_GT(none.interval->high, 0.0) << "no point: two seeds say little";
    EXPECT_FALSE(make_share_estimate({{.samples = 50, .correct = 25}}).interval.has_value());
}

TEST(Findings, NeedASeed) {
    EXPECT_THROW(find(standard_recipe(), {}), Error);
}

}  // namespace
}  // namespace anamnesis::reproduction
