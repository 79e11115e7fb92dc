// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/alignment.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

#include "golden_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RotaryLayout;
using linalg::Matrix;
using linalg::MatrixView;

/// The values as the checkpoint would store them: bf16 bit for bit, float32 within one unit in the
/// last place.
void expect_rounds_to(const Matrix& values,
                      const golden::Stored& expected,
                      const std::string& what) {
    ASSERT_EQ(values.values().size() * element_bytes(expected.dtype), expected.bytes.size())
        << what;
    std::vector<std::byte> rounded(expected.bytes.size());
    narrow(expected.dtype, values.values(), rounded);
    if (expected.dtype == DType::bf16) {
        EXPECT_EQ(std::memcmp(rounded.data(), expected.bytes.data(), rounded.size()), 0) << what;
        return;
    }
    for (std::size_t i = 0; i < rounded.size(); i += sizeof(float)) {
        float found = 0.0F;
        float wanted = 0.0F;
        std::memcpy(&found, rounded.data() + i, sizeof(found));
        std::memcpy(&wanted, expected.bytes.data() + i, sizeof(wanted));
        const float limit = std::numeric_limits<float>::infinity();
        EXPECT_TRUE(found == wanted ||
                    std::nextafter(found, wanted < found ? -limit : limit) == wanted)
            << what << ": " << found << " is not " << wanted;
    }
}

std::vector<double> numbers(const Json& list) {
    std::vector<double> result;
    for (const Json& item : list.as_array("list")) {
        result.push_back(item.as_double("item"));
    }
    return result;
}

/// One folder of `pro/`.
class ProCase : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        const auto folder = golden::find("pro/" + GetParam());
        if (!folder) {
            GTEST_SKIP() << "golden case pro/" << GetParam()
                         << " is neither in testdata nor in " ANAMNESIS_SHARED;
        }
        folder_ = *folder;
        json_ = golden::read_json_file(folder_ / "case.json");
        head_dim_ = read_size("head_dim");
        query_heads_ = read_size("query_heads");
        key_heads_ = read_size("key_heads");
        const golden::Tensors input(folder_ / "input.safetensors");
        query_pre_ = input.values("W_Q.pre");
        query_post_ = input.values("W_Q.post");
        key_pre_ = input.values("W_K.pre");
        key_post_ = input.values("W_K.post");
        if (input.has("q_norm.post")) {
            query_gain_ = input.values("q_norm.post");
            key_gain_ = input.values("k_norm.post");
        }
    }

    std::size_t read_size(const char* name) const { return json_.at(name).as_unsigned(name); }
    std::size_t find_key_head(std::size_t query_head) const {
        return query_head / (query_heads_ / key_heads_);
    }
    template <class Owner>
    auto head_rows(Owner& rows, std::size_t head) const {
        return rows.view().row_block(head * head_dim_, head_dim_);
    }
    RotaryLayout rotary() const {
        return {RotaryLayout::Pairs::half_split,
                static_cast<std::uint32_t>(read_size("rotary_dim")),
                0};
    }
    std::vector<ProFilter> filters(ProMetric metric) const {
        std::vector<ProFilter> result;
        result.reserve(key_heads_);
        for (std::size_t head = 0; head < key_heads_; ++head) {
            result.emplace_back(head_rows(key_pre_, head),
                                ProWeighting{.metric = metric,
                                             .rotary = rotary(),
                                             .query_gain = query_gain_.values(),
                                             .key_gain = key_gain_.values()});
        }
        return result;
    }

    std::filesystem::path folder_;
    Json json_;
    std::size_t head_dim_ = 0;
    std::size_t query_heads_ = 0;
    std::size_t key_heads_ = 0;
    Matrix query_pre_;
    Matrix query_post_;
    Matrix key_pre_;
    Matrix key_post_;
    Matrix query_gain_;
    Matrix key_gain_;
};

TEST_P(ProCase, FilterGivesTheExactRowsAndTheirRounding) {
    const double tolerance = GetParam() == "deficient_f32" ? 1e-9 : 1e-12;
    for (const auto& [name, metric] : {std::pair{"gram", ProMetric::gram},
                                       std::pair{"rope", ProMetric::rope},
                                       std::pair{"gain", ProMetric::gain}}) {
        const Json* description = json_.at("metrics").find(name);
        if (description == nullptr) {
            continue;
        }
        const golden::Tensors expected(folder_ / format("pro.{}.safetensors", name));
        const std::vector<ProFilter> by_key_head = filters(metric);
        for (const Json& entry : description->at("lambdas").as_array("lambdas")) {
            const double relative = entry.at("lambda_rel").as_double("lambda_rel");
            const std::string what = format("{} at {:g}", name, relative);
            const std::vector<double> absolute = numbers(entry.at("lambda_abs"));
            const std::vector<double> distance = numbers(entry.at("distance_from_post"));
            const std::vector<double> error = numbers(entry.at("routing_error"));
            Matrix result(query_pre_.rows(), query_pre_.columns());
            Matrix paper(query_pre_.rows(), query_pre_.columns());
            for (std::size_t head = 0; head < query_heads_; ++head) {
                const ProFilter& filter = by_key_head[find_key_head(head)];
                const double lambda = filter.absolute_lambda(relative);
                const double golden_lambda = absolute[find_key_head(head)];
                EXPECT_NEAR(lambda, golden_lambda, 1e-13 * golden_lambda) << what;
                const auto rows = head_rows(result, head);
                filter.apply(std::vector{lambda},
                             head_rows(query_pre_, head),
                             head_rows(query_post_, head),
                             std::vector{rows});
                const Matrix from_post = linalg::difference(rows, head_rows(query_post_, head));
                EXPECT_NEAR(linalg::frobenius_norm(from_post), distance[head], 1e-9) << what;
                // Gains change what the logits see; the golden error is that of W_Q W_K^T.
                if (metric != ProMetric::gain) {
                    const Matrix from_pre = linalg::difference(rows, head_rows(query_pre_, head));
                    const Matrix wrong = linalg::product(linalg::transposed(from_pre),
                                                         head_rows(key_pre_, find_key_head(head)));
                    EXPECT_NEAR(linalg::frobenius_norm(wrong), error[head], 1e-11) << what;
                    const Matrix slow = naive_qk_pro(lambda,
                                                     head_rows(key_pre_, find_key_head(head)),
                                                     head_rows(query_pre_, head),
                                                     head_rows(query_post_, head));
                    linalg::copy(slow, head_rows(paper, head));
                }
            }
            const std::string key = format("{:g}", relative);
            const Matrix exact = expected.values("exact." + key);
            EXPECT_LT(largest_difference(result, exact), tolerance) << what;
            expect_rounds_to(result, expected.stored("rounded." + key), what);
            if (metric == ProMetric::gram) {
                EXPECT_LT(largest_difference(paper, exact), 1e-8) << what;
                if (expected.has("naive." + key)) {
                    const Matrix naive = expected.values("naive." + key);
                    EXPECT_LT(largest_difference(paper, naive), 1e-12) << what;
                }
            }
        }
        if (expected.has("limit.0")) {
            Matrix result(query_pre_.rows(), query_pre_.columns());
            for (std::size_t head = 0; head < query_heads_; ++head) {
                by_key_head[find_key_head(head)].apply(std::vector{0.0},
                                                       head_rows(query_pre_, head),
                                                       head_rows(query_post_, head),
                                                       std::vector{head_rows(result, head)});
            }
            const Matrix limit = expected.values("limit.0");
            EXPECT_LT(largest_difference(result, limit), tolerance);
        }
    }
}

TEST_P(ProCase, FindsTheRankOfTheKeys) {
    const Json* rank = json_.find("rank");
    const std::vector<ProFilter> by_key_head = filters(ProMetric::gram);
    for (std::size_t head = 0; head < key_heads_; ++head) {
        const auto found =
            static_cast<double>(head_dim_ - static_cast<std::size_t>(std::ranges::count(
                                                by_key_head[head].eigenvalues(), 0.0)));
        EXPECT_EQ(found, rank == nullptr ? static_cast<double>(head_dim_) : numbers(*rank)[head]);
    }
}

/// The deficient case is about the filter alone.
class LerpCase : public ProCase {};

TEST_P(LerpCase, InterpolatesAsGiven) {
    const golden::Tensors input(folder_ / "input.safetensors");
    const golden::Tensors expected(folder_ / "lerp.safetensors");
    for (const double alpha : numbers(json_.at("lerp_alpha"))) {
        for (const std::string part : {"W_Q", "W_K"}) {
            const Matrix pre = input.values(part + ".pre");
            const Matrix post = input.values(part + ".post");
            Matrix result(pre.rows(), pre.columns());
            interpolate(alpha, pre, post, result);
            const std::string name = format("{}.{:g}.rounded", part, alpha);
            expect_rounds_to(result, expected.stored(name), name);
            if (alpha == 0.0 || alpha == 1.0) {
                const auto stored = input.stored(part + (alpha == 0.0 ? ".post" : ".pre"));
                EXPECT_EQ(expected.stored(name).bytes, stored.bytes);
            }
        }
    }
}

/// Not those with QK-norm, where the caller refuses, nor the deficient one.
class AlignCase : public ProCase {};

TEST_P(AlignCase, AlignsAsGiven) {
    const Json& description = json_.at("align");
    const bool is_rotary = description.at("gauge").as_string("gauge") == "rope";
    Matrix query(query_pre_.rows(), query_pre_.columns());
    Matrix key(key_pre_.rows(), key_pre_.columns());
    const std::size_t per_group = query_heads_ / key_heads_;
    for (std::size_t group = 0; group < key_heads_; ++group) {
        const Json& golden_head = description.at("key_heads").as_array("key_heads")[group];
        GaugeFit fit(head_dim_, is_rotary ? rotary() : RotaryLayout{});
        double before = linalg::sum_of_squared_differences(head_rows(key_pre_, group),
                                                           head_rows(key_post_, group));
        fit.add(head_rows(key_pre_, group), head_rows(key_post_, group));
        for (std::size_t head = group * per_group; head < (group + 1) * per_group; ++head) {
            fit.add(head_rows(query_pre_, head), head_rows(query_post_, head));
            before += linalg::sum_of_squared_differences(head_rows(query_pre_, head),
                                                         head_rows(query_post_, head));
        }
        const Gauge gauge = fit.solve();
        double after = gauge.misfit(head_rows(key_pre_, group), head_rows(key_post_, group));
        gauge.apply(head_rows(key_pre_, group), head_rows(key, group));
        for (std::size_t head = group * per_group; head < (group + 1) * per_group; ++head) {
            after += gauge.misfit(head_rows(query_pre_, head), head_rows(query_post_, head));
            gauge.apply(head_rows(query_pre_, head), head_rows(query, head));
        }
        const double golden_before = golden_head.at("misfit_before").as_double("misfit");
        const double golden_after = golden_head.at("misfit_after").as_double("misfit");
        EXPECT_NEAR(before, golden_before, 1e-10 * golden_before);
        EXPECT_NEAR(after, golden_after, 1e-10 * golden_after);
        const Json::Array& rows = golden_head.at("O").as_array("O");
        for (std::size_t i = 0; i < head_dim_; ++i) {
            const std::vector<double> row = numbers(rows[i]);
            for (std::size_t j = 0; j < head_dim_; ++j) {
                EXPECT_NEAR(gauge.orthogonal(i, j), row[j], 1e-10);
            }
        }
        if (is_rotary) {
            const std::vector<double> angles = numbers(golden_head.at("angles"));
            ASSERT_EQ(gauge.angles.size(), angles.size());
            for (std::size_t i = 0; i < angles.size(); ++i) {
                EXPECT_NEAR(gauge.angles[i], angles[i], 1e-10);
            }
        }
    }
    const golden::Tensors expected(folder_ / "align.safetensors");
    const Matrix golden_query = expected.values("W_Q");
    const Matrix golden_key = expected.values("W_K");
    EXPECT_LT(largest_difference(query, golden_query), 1e-10);
    EXPECT_LT(largest_difference(key, golden_key), 1e-10);
    expect_rounds_to(query, expected.stored("W_Q.rounded"), "aligned W_Q");
    expect_rounds_to(key, expected.stored("W_K.rounded"), "aligned W_K");
}

INSTANTIATE_TEST_SUITE_P(
    Golden,
    LerpCase,
    testing::Values("gqa_bf16", "gqa_f32", "mha_bf16", "mha_f32", "qknorm_bf16", "qknorm_f32"),
    [](const auto& instance) { return instance.param; });

INSTANTIATE_TEST_SUITE_P(Golden,
                         AlignCase,
                         testing::Values("gqa_bf16", "gqa_f32", "mha_bf16", "mha_f32"),
                         [](const auto& instance) { return instance.param; });

INSTANTIATE_TEST_SUITE_P(
    Golden,
    ProCase,
    testing::Values(
        "deficient_f32", "gqa_bf16", "gqa_f32", "mha_bf16", "mha_f32", "qknorm_bf16", "qknorm_f32"),
    [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace anamnesis::restore
