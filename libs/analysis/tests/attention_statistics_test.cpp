// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/attention_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

#include "analysis_golden.hpp"

namespace anamnesis::analysis {
namespace {

using testing::Golden;
using testing::relative_difference;

struct GoldenAttention : ::testing::TestWithParam<std::string> {
    Golden golden{GetParam()};

    /// The golden's own choices, which name its fields.
    static AttentionQuestion question(const std::vector<bool>& queries) {
        return {.queries = queries,
                .beyond = {16, 32, 64},
                .needle = TokenSpan{.first = 10, .end = 16},
                .answer_queries = {.first = 88, .end = 96}};
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenAttention,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

template <class Value>
std::vector<double> of_heads(const LayerAttention& layer, const Value& value) {
    std::vector<double> values;
    for (const HeadAttention& head : layer.heads) {
        values.push_back(value(head));
    }
    return values;
}

void expect_agreement(const LayerAttention& layer, const Json& expected, double tolerance) {
    const auto expect = [&](const std::string& name, const auto& value) {
        EXPECT_LE(relative_difference(of_heads(layer, value), expected.at(name)), tolerance)
            << name;
    };
    expect("mean_distance", [](const HeadAttention& head) { return head.mean_distance; });
    expect("entropy_nats", [](const HeadAttention& head) { return head.entropy; });
    expect("span_mass_last_queries", [](const HeadAttention& head) { return head.needle_mass; });
    const std::vector<std::string> distances{"16", "32", "64"};
    for (std::size_t i = 0; i < distances.size(); ++i) {
        expect("share_beyond_" + distances[i],
               [&](const HeadAttention& head) { return head.share_beyond[i]; });
        expect("share_beyond_" + distances[i] + "_queries_that_can",
               [&](const HeadAttention& head) { return head.share_beyond_of_able[i]; });
    }
}

TEST_P(GoldenAttention, AgreesForEveryLayerAndHead) {
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::f64, 1e-10}, std::pair{DType::f32, 1e-5}}) {
        const runtime::Network network = golden.load(dtype);
        for (std::size_t example = 0; example < golden.rows.size(); ++example) {
            const LabelledText& text = golden.rows[example];
            const auto all = attention_statistics(network, text.ids, question({}));
            const auto some =
                attention_statistics(network, text.ids, question(predicting_positions(text)));
            ASSERT_EQ(all.size(), golden.layers().size());
            for (std::size_t i = 0; i < all.size(); ++i) {
                const Json& expected = golden.example(example, "attention", all[i].layer);
                expect_agreement(all[i], expected.at("all_queries"), tolerance);
                expect_agreement(some[i], expected.at("predicting_queries"), tolerance);
            }
        }
    }
}

/// The weights of the whole matrix, by another road.
at::Tensor naive_weights(const runtime::AttentionValues& values) {
    const at::Tensor q = values.q.squeeze(0).transpose(0, 1);
    const at::Tensor k = values.k.squeeze(0).transpose(0, 1).repeat_interleave(
        values.q.size(2) / values.k.size(2), 0);
    const at::Tensor scores =
        at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(2)));
    const at::Tensor later = at::ones({q.size(1), q.size(1)}, q.options().dtype(at::kBool)).triu(1);
    return at::softmax(scores.masked_fill(later, -std::numeric_limits<double>::infinity()), -1);
}

TEST_P(GoldenAttention, ScoresAHeadByTheNeedleTokensThatItCopies) {
    const at::NoGradGuard no_gradients;
    const runtime::Network network = golden.load(DType::f64);
    // A text whose second half repeats the first: attention that copies finds its token there.
    std::vector<std::int64_t> ids = golden.rows.front().ids;
    for (std::size_t t = 48; t < ids.size(); ++t) {
        ids[t] = ids[t - 48];
    }
    const AttentionQuestion question{.needle = TokenSpan{.first = 0, .end = 48},
                                     .answer_queries = {.first = 47, .end = 95}};
    const auto layers = attention_statistics(network, ids, question);
    std::size_t copied_in_all = 0;
    std::size_t index = 0;
    network.forward(
        at::tensor(ids, at::kLong).unsqueeze(0),
        {},
        [&](std::size_t, const runtime::AttentionValues& values) {
            const at::Tensor strongest = naive_weights(values).argmax(-1);
            for (std::size_t head = 0; head < layers[index].heads.size(); ++head) {
                std::vector<bool> copied(48);
                for (std::size_t t = 47; t < 95; ++t) {
                    const auto key = static_cast<std::size_t>(
                        strongest[static_cast<std::int64_t>(head)][static_cast<std::int64_t>(t)]
                            .item<std::int64_t>());
                    if (key < 48 && ids[key] == ids[t + 1]) {
                        copied[key] = true;
                    }
                }
                const auto count = static_cast<double>(std::ranges::count(copied, true));
                copied_in_all += static_cast<std::size_t>(count);
                EXPECT_DOUBLE_EQ(layers[index].heads[head].retrieval, count / 48.0);
            }
            ++index;
        });
    EXPECT_GT(copied_in_all, 0U) << "no head copies anything, so nothing was tested";
}

TEST_P(GoldenAttention, ContinuesWithTheLikeliestTokens) {
    const runtime::Network network = golden.load(DType::f64);
    std::vector<std::int64_t> ids = golden.rows.front().ids;
    const std::vector<std::int64_t> tokens = continuation(network, ids, 5, {});
    ASSERT_EQ(tokens.size(), 5U);
    const at::NoGradGuard no_gradients;
    for (const std::int64_t token : tokens) {
        const at::Tensor hidden = network.forward(at::tensor(ids, at::kLong).unsqueeze(0));
        EXPECT_EQ(network.logits(hidden)
                      .select(1, static_cast<std::int64_t>(ids.size()) - 1)
                      .argmax(-1)
                      .item<std::int64_t>(),
                  token);
        ids.push_back(token);
    }
    const std::vector<std::int64_t> ends{tokens[2]};
    EXPECT_LE(continuation(network, golden.rows.front().ids, 5, ends).size(), 2U);
}

TEST_P(GoldenAttention, RefusesPositionsOutsideTheText) {
    const runtime::Network network = golden.load(DType::f32);
    const std::vector<std::int64_t>& ids = golden.rows.front().ids;
    EXPECT_THROW(attention_statistics(network, ids, {.queries = {true}}), Error);
    EXPECT_THROW(attention_statistics(network,
                                      ids,
                                      {.needle = TokenSpan{.first = 90, .end = 97},
                                       .answer_queries = {.first = 1, .end = 2}}),
                 Error);
}

TEST(AttentionStatistics, AndGradientsRefuseWhatTheyDoNotMeasure) {
    const auto explain = [](const char* name, const auto& measure) -> std::string {
        const auto files = checkpoint::Checkpoint::open(std::filesystem::path(ANAMNESIS_TESTDATA) /
                                                        "models" / name);
        const runtime::Network network =
            runtime::load_network(files, checkpoint::recognise(files), {.dtype = DType::f32});
        try {
            measure(network);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::unsupported);
            return error.message();
        }
        return "measured";
    };
    const std::vector<std::int64_t> ids{1, 2, 3, 4};
    const auto attention = [&](const runtime::Network& network) {
        static_cast<void>(attention_statistics(network, ids, {}));
    };
    const auto gradients = [&](const runtime::Network& network) {
        static_cast<void>(logit_gradients(network, {.ids = ids, .labels = ids}, {.weight = 1.0}));
    };
    EXPECT_THAT(explain("gpt_oss_hub_config", attention), ::testing::HasSubstr("sinks"));
    EXPECT_THAT(explain("gpt_oss_hub_config", gradients), ::testing::HasSubstr("sinks"));
    EXPECT_THAT(explain("phi3_base", gradients), ::testing::HasSubstr("with one matrix"));
    EXPECT_EQ(explain("phi3_base", attention), "measured");
}

}  // namespace
}  // namespace anamnesis::analysis
