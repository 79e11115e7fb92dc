// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/logit_gradients.hpp"

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

#include "analysis_golden.hpp"

namespace anamnesis::analysis {
namespace {

using testing::Golden;
using testing::relative_difference;

struct GoldenLogitGradients : ::testing::TestWithParam<std::string> {
    Golden golden{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenLogitGradients,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenLogitGradients, AgreeForEveryLayerHeadAndDistance) {
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::f64, 1e-10}, std::pair{DType::f32, 1e-4}}) {
        const runtime::Network network = golden.load(dtype);
        double loss = 0.0;
        for (std::size_t example = 0; example < golden.rows.size(); ++example) {
            const LogitGradients result = logit_gradients(
                network, golden.rows[example], {.weight = 1.0 / golden.predictions()});
            loss += result.loss;
            ASSERT_EQ(result.layers.size(), golden.layers().size());
            for (const LayerGradients& layer : result.layers) {
                const Json& expected = golden.example(example, "gradient", layer.layer);
                for (std::size_t head = 0; head < layer.sums.size(); ++head) {
                    EXPECT_LE(relative_difference(layer.sums[head],
                                                  expected.at("abs_sum").as_array("sums")[head]),
                              tolerance);
                    EXPECT_LE(relative_difference(
                                  layer.predicting_sums[head],
                                  expected.at("abs_sum_predicting_queries").as_array("sums")[head]),
                              tolerance);
                }
                EXPECT_EQ(layer.count, testing::read_counts(expected.at("count")));
                EXPECT_EQ(layer.predicting_count,
                          testing::read_counts(expected.at("count_predicting_queries")));
            }
        }
        EXPECT_NEAR(loss, golden.expected.at("loss").as_double("loss"), tolerance);
    }
}

TEST_P(GoldenLogitGradients, RefuseWhatHasNoLoss) {
    const runtime::Network network = golden.load(DType::f32);
    LabelledText text = golden.rows.front();
    text.labels.assign(text.labels.size(), unsupervised);
    text.labels.front() = 1;  // never predicted
    EXPECT_THROW(logit_gradients(network, text), Error);
    text = golden.rows.front();
    text.ids[5] = 1'000'000;
    EXPECT_THROW(logit_gradients(network, text), Error);
}

}  // namespace
}  // namespace anamnesis::analysis
