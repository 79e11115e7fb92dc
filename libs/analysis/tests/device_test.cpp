// SPDX-License-Identifier: Apache-2.0

// Analysis of a network that is not on the CPU.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"

#include "analysis_golden.hpp"
#include "foreign_device.hpp"

namespace anamnesis::analysis {
namespace {

struct OnADevice : ::testing::TestWithParam<std::string> {
    testing::Golden golden{GetParam()};
    const LabelledText& text = golden.rows.front();
    runtime::Network here = golden.load(DType::f64);
    runtime::Network there = golden.load(DType::f64, testing::device_name());
};

INSTANTIATE_TEST_SUITE_P(Models,
                         OnADevice,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

void expect_near(double actual, double expected) {
    EXPECT_NEAR(actual, expected, testing::tolerance(1e-9, 1e-6) * (1e-9 + std::abs(expected)));
}

TEST_P(OnADevice, GradientsAreThoseOfTheCpu) {
    const GradientOptions options{.bands = {{0, 8}, {8, text.ids.size()}}};
    const LogitGradients one = logit_gradients(here, text, options);
    const LogitGradients other = logit_gradients(there, text, options);
    expect_near(other.loss, one.loss);
    ASSERT_EQ(one.layers.size(), other.layers.size());
    for (std::size_t i = 0; i < one.layers.size(); ++i) {
        const std::vector<double> means = mean_over_heads(one.layers[i].sums, one.layers[i].count);
        const std::vector<double> others =
            mean_over_heads(other.layers[i].sums, other.layers[i].count);
        for (std::size_t tau = 0; tau < means.size(); ++tau) {
            expect_near(others[tau], means[tau]);
        }
        for (std::size_t band = 0; band < options.bands.size(); ++band) {
            expect_near(other.layers[i].bands[band].query, one.layers[i].bands[band].query);
            expect_near(other.layers[i].bands[band].key, one.layers[i].bands[band].key);
            expect_near(other.layers[i].bands[band].value, one.layers[i].bands[band].value);
            expect_near(other.layers[i].bands[band].output, one.layers[i].bands[band].output);
        }
    }
}

TEST_P(OnADevice, AttentionIsThatOfTheCpu) {
    const AttentionQuestion question{.beyond = {16}};
    const auto one = attention_statistics(here, text.ids, question);
    const auto other = attention_statistics(there, text.ids, question);
    ASSERT_EQ(one.size(), other.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
        for (std::size_t h = 0; h < one[i].heads.size(); ++h) {
            expect_near(other[i].heads[h].mean_distance, one[i].heads[h].mean_distance);
            expect_near(other[i].heads[h].entropy, one[i].heads[h].entropy);
        }
    }
    EXPECT_EQ(continuation(here, std::span(text.ids).first(20), 4, {}),
              continuation(there, std::span(text.ids).first(20), 4, {}));
}

}  // namespace
}  // namespace anamnesis::analysis
