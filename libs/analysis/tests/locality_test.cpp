// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/locality.hpp"

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/embedding_correlation.hpp"
#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"

#include "analysis_golden.hpp"

namespace anamnesis::analysis {
namespace {

/// An example of `tokens` whose heads have g = exp(-tau / length), each a little off.
ExampleRecord make_example(std::size_t index, std::size_t tokens, double decay_length) {
    Random random(index);
    ExampleRecord record{.id = std::to_string(index), .tokens = tokens, .predictions = 1};
    LayerRecord& layer = record.layers.emplace_back();
    layer.layer = 3;
    layer.bands = {{.query = 3.0, .key = 1.0, .value = 1.0, .output = 1.0}};
    const std::vector<DistanceBin> bins = distance_bins(tokens);
    for (int head = 0; head < 2; ++head) {
        const double factor = (1.0 + head) * std::exp(0.1 * random.normal());
        std::vector<double> sums;
        std::vector<double> pairs;
        for (std::size_t tau = 0; tau < tokens; ++tau) {
            const auto count = static_cast<double>(tokens - tau);
            pairs.push_back(count);
            sums.push_back(count * factor * std::exp(-static_cast<double>(tau) / decay_length));
        }
        layer.sums.push_back(binned(sums, bins));
        layer.pairs = binned(pairs, bins);
    }
    record.correlation_sums = layer.sums.front();
    record.correlation_pairs = layer.pairs;
    return record;
}

std::vector<ExampleRecord> make_examples(double decay_length) {
    std::vector<ExampleRecord> records;
    for (std::size_t i = 0; i < 8; ++i) {
        records.push_back(make_example(i, 400 + 50 * i, decay_length));
    }
    return records;
}

TEST(Locality, FindsTheDecayLengthOfEveryCurveWithAnInterval) {
    const std::vector<ExampleRecord> records = make_examples(60.0);
    const Locality locality = summarise(records, {.resamples = 200});
    for (const Curve* curve : {&locality.curve,
                               &locality.layers.front().curve,
                               &locality.layers.front().heads.back(),
                               &locality.correlation}) {
        EXPECT_TRUE(curve->fit.is_exponential) << curve->fit.reason;
        EXPECT_NEAR(curve->fit.length, 60.0, 2.0);
    }
    ASSERT_TRUE(locality.curve.length_interval.has_value());
    EXPECT_LE(locality.curve.length_interval->low, locality.curve.fit.length);
    EXPECT_GE(locality.curve.length_interval->high, locality.curve.fit.length);
    EXPECT_DOUBLE_EQ(locality.correlation.points.front().value, 1.0);
    for (const CurvePoint& point : locality.curve.points) {
        if (point.bin.end > 400) {
            continue;  // the shortest example does not reach it, so some resamples do not
        }
        ASSERT_TRUE(point.interval.has_value());
        EXPECT_LE(point.interval->low, point.value * (1.0 + 1e-12));
        EXPECT_GE(point.interval->high, point.value * (1.0 - 1e-12));
    }
}

TEST(Locality, IsTheMeanOverAllPairsOfAllExamples) {
    const std::vector<ExampleRecord> records = make_examples(60.0);
    const Locality locality = summarise(records, {.resamples = 100});
    double sum = 0.0;
    double pairs = 0.0;
    for (const ExampleRecord& record : records) {
        sum += (record.layers[0].sums[0][5] + record.layers[0].sums[1][5]) / 2.0;
        pairs += record.layers[0].pairs[5];
    }
    EXPECT_NEAR(locality.layers[0].curve.points[5].value, sum / pairs, 1e-15);
    EXPECT_DOUBLE_EQ(locality.layers[0].bands[0].query, 3.0);
}

TEST(Locality, HasNoIntervalForOneExample) {
    const std::vector<ExampleRecord> records{make_example(0, 500, 40.0)};
    const Locality locality = summarise(records, {});
    EXPECT_FALSE(locality.curve.points[3].interval.has_value());
    EXPECT_FALSE(locality.curve.length_interval.has_value());
    EXPECT_EQ(locality.curve.no_interval, "there is one example");
    EXPECT_NE(to_text({.model = "m", .settings = {}, .data = {{.name = "d", .locality = locality}}})
                  .find("tokens (no interval: there is one example)"),
              std::string::npos);
}

TEST(Locality, SaysWhyALengthHasNoInterval) {
    // A short example beside longer ones: a resample of it alone has too few distances.
    std::vector<ExampleRecord> records{make_example(0, 500, 40.0), make_example(1, 6, 40.0)};
    const Locality locality = summarise(records, {.resamples = 200});
    ASSERT_TRUE(locality.curve.fit.is_exponential) << locality.curve.fit.reason;
    EXPECT_FALSE(locality.curve.length_interval.has_value());
    EXPECT_NE(locality.curve.no_interval.find("of 200 resamples of the examples fit no"),
              std::string::npos);
    EXPECT_TRUE(summarise(make_examples(60.0), {.resamples = 200}).curve.no_interval.empty());
}

TEST(Locality, RecordsSurviveJson) {
    const ExampleRecord record = make_example(4, 300, 20.0);
    const ExampleRecord back = read_example_record(Json::parse(to_json(record).dump()));
    EXPECT_EQ(back.id, record.id);
    EXPECT_EQ(back.tokens, record.tokens);
    EXPECT_EQ(back.layers[0].sums, record.layers[0].sums);
    EXPECT_EQ(back.layers[0].pairs, record.layers[0].pairs);
    EXPECT_EQ(back.layers[0].bands[0].query, 3.0);
    EXPECT_EQ(back.correlation_sums, record.correlation_sums);
}

TEST(Locality, RefusesExamplesOfDifferentModels) {
    std::vector<ExampleRecord> records{make_example(0, 300, 20.0), make_example(1, 300, 20.0)};
    records[1].layers[0].sums.pop_back();
    EXPECT_THROW(summarise(records, {}), Error);
    records[1] = make_example(1, 300, 20.0);
    records[1].layers[0].sums[0].pop_back();
    EXPECT_THROW(summarise(records, {}), Error);
}

TEST(EmbeddingCorrelation, IsTheSumOfInnerProductsAtEveryDistance) {
    const testing::Golden golden("qwen3");
    const runtime::Network network = golden.load(DType::f64);
    const EmbeddingCorrelation correlation(network, golden.rows);
    const at::Tensor& table = network.parameters().at("model.embed_tokens.weight");
    const auto embedding_rows = [&](const LabelledText& text) {
        return table.detach().index_select(0, at::tensor(text.ids, at::kLong));
    };
    const at::Tensor first = embedding_rows(golden.rows[0]);
    const at::Tensor mean = (first.sum(0) + embedding_rows(golden.rows[1]).sum(0)) / 192.0;
    const at::Tensor centred = first - mean;
    const std::vector<double> sums = correlation.sums(golden.rows[0].ids);
    ASSERT_EQ(sums.size(), 96U);
    for (std::int64_t tau = 0; tau < 96; ++tau) {
        const double exact = (centred.narrow(0, tau, 96 - tau) * centred.narrow(0, 0, 96 - tau))
                                 .sum()
                                 .item<double>();
        EXPECT_NEAR(sums[static_cast<std::size_t>(tau)], exact, 1e-10);
    }
}

}  // namespace
}  // namespace anamnesis::analysis
