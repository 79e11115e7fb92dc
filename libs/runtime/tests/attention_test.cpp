// SPDX-License-Identifier: Apache-2.0
#include "attention.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "cache_attention.hpp"
#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// [T, heads, kv_heads, D, length, window (0: none)].
using Case = std::tuple<int, int, int, int, int, int>;

class CacheAttention : public testing::TestWithParam<Case> {
protected:
    /// Errors against the slow twin, which sees the same rounded keys and values in float64.
    double error_over(at::ScalarType cache_type,
                      double& size,
                      bool has_sinks = false,
                      std::optional<double> softcap = {},
                      bool has_slopes = false) const {
        const at::NoGradGuard no_gradients;
        at::Generator generator = at::detail::getDefaultCPUGenerator();
        generator.set_current_seed(1);
        const auto [tokens, heads, kv_heads, dim, length, window] = GetParam();
        const at::Tensor keys = at::randn({length, kv_heads, dim}) * 2.0;
        const at::Tensor values = at::randn({length, kv_heads, dim});
        const at::Tensor q = at::randn({tokens, heads, dim});
        KeyValueCache cache(cache_type, 300);
        cache.append(keys, values);
        AttentionOptions options{
            .window = window == 0 ? std::nullopt : std::optional<std::int64_t>(window),
            .softcap = softcap};
        if (has_sinks) {
            options.sinks = at::randn({heads}) * 2.0 + 1.0;
        }
        if (has_slopes) {
            options.slopes = at::rand({heads}) * 0.2;
        }
        const auto rounded = [&](const at::Tensor& x) {
            return x.to(cache_type).to(at::kDouble).transpose(0, 1);
        };
        const at::Tensor expected =
            naive_attention(q.to(at::kDouble), rounded(keys), rounded(values), options);
        const at::Tensor error = attend_to_cache(q, cache, options).to(at::kDouble) - expected;
        size = expected.square().mean().sqrt().item<double>();
        return error.square().mean().sqrt().item<double>();
    }
};

TEST_P(CacheAttention, in_float32_equals_all_scores_at_once) {
    double size = 0.0;
    const double error = error_over(at::kFloat, size);
    EXPECT_LT(error, 1e-6 * size);
}

TEST_P(CacheAttention, over_bfloat16_keys_is_off_by_the_rounding_of_queries_and_weights_at_most) {
    double size = 0.0;
    const double error = error_over(at::kBFloat16, size);
    const auto [tokens, heads, kv_heads, dim, length, window] = GetParam();
    const bool rounds = tokens * heads / kv_heads > 16 && cpu::has_bf16_products();
    EXPECT_LT(error, (rounds ? 8e-3 : 1e-6) * size);
}

TEST_P(CacheAttention, with_sinks_is_as_exact) {
    double size = 0.0;
    const double error = error_over(at::kFloat, size, /*has_sinks=*/true);
    EXPECT_LT(error, 1e-6 * size);
    const double narrow_error = error_over(at::kBFloat16, size, /*has_sinks=*/true);
    EXPECT_LT(narrow_error, 8e-3 * size);
}

TEST_P(CacheAttention, with_a_softcap_is_as_exact) {
    double size = 0.0;
    double error = error_over(at::kFloat, size, /*has_sinks=*/false, 3.0);
    EXPECT_LT(error, 1e-6 * size);
    error = error_over(at::kBFloat16, size, /*has_sinks=*/true, 3.0);
    EXPECT_LT(error, 1e-6 * size);
}

TEST_P(CacheAttention, that_falls_with_distance_is_as_exact) {
    double size = 0.0;
    double error = error_over(at::kFloat, size, /*has_sinks=*/false, {}, /*has_slopes=*/true);
    EXPECT_LT(error, 1e-6 * size);
    error = error_over(at::kBFloat16, size, /*has_sinks=*/true, 5.0, /*has_slopes=*/true);
    EXPECT_LT(error, 1e-6 * size);
}

TEST(CachesAttention, gives_each_sequence_the_bits_that_it_has_alone) {
    const at::NoGradGuard no_gradients;
    const at::Tensor sinks = at::randn({6});
    // Few rows are read page by page, many otherwise.
    for (const std::int64_t tokens : {1, 2, 40}) {
        for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
            const AttentionOptions options{.window = 500, .sinks = sinks};
            const at::Tensor q = at::randn({4, tokens, 6, 32});
            std::vector<KeyValueCache> caches;
            for (const std::int64_t length : {700, 40, 301, 1500}) {
                caches.emplace_back(type, 300).append(at::randn({length, 2, 32}),
                                                      at::randn({length, 2, 32}));
            }
            std::vector<const KeyValueCache*> all;
            for (const KeyValueCache& cache : caches) {
                all.push_back(&cache);
            }
            const at::Tensor y = attend_to_caches(q, all, options);
            for (std::size_t b = 0; b < all.size(); ++b) {
                const auto row = static_cast<std::int64_t>(b);
                EXPECT_TRUE(at::equal(y.select(0, row),
                                      attend_to_cache(q.select(0, row), *all[b], options)));
            }
        }
    }
}

TEST(Attention, of_a_whole_text_falls_with_distance_head_by_head) {
    const at::Tensor q = at::zeros({1, 3, 2, 4}, at::kDouble);
    const at::Tensor v = at::arange(3, at::kDouble).view({1, 3, 1, 1}).expand({1, 3, 1, 4});
    const at::Tensor slopes = at::tensor({0.0, std::log(2.0)}, at::kDouble);
    const at::Tensor y =
        attend_within(q, at::zeros({1, 3, 1, 4}, at::kDouble), v, {.slopes = slopes});
    // Weights of the last query: a third each; 1, 2 and 4 sevenths.
    EXPECT_NEAR(y[0][2][0][0].item<double>(), 1.0, 1e-12);
    EXPECT_NEAR(y[0][2][1][0].item<double>(), 10.0 / 7.0, 1e-12);
    EXPECT_NEAR(y[0][1][1][0].item<double>(), 2.0 / 3.0, 1e-12);
}

TEST(Attention, of_a_whole_text_caps_scores_as_all_at_once) {
    const auto whole = at::TensorOptions().dtype(at::kDouble);
    const at::Tensor q = at::randn({1, 40, 6, 16}, whole);
    const at::Tensor k = at::randn({1, 40, 2, 16}, whole);
    const at::Tensor v = at::randn({1, 40, 2, 16}, whole);
    for (const std::optional<std::int64_t> window :
         {std::optional<std::int64_t>(), std::optional<std::int64_t>(7)}) {
        const AttentionOptions options{.window = window, .softcap = 0.5};
        const at::Tensor y = attend_within(q, k, v, options).select(0, 0);
        const auto naive = [&](const AttentionOptions& how) {
            return naive_attention(q.select(0, 0),
                                   k.select(0, 0).transpose(0, 1),
                                   v.select(0, 0).transpose(0, 1),
                                   how);
        };
        EXPECT_TRUE(at::allclose(y, naive(options), 1e-12, 1e-12));
        EXPECT_FALSE(at::allclose(y, naive({.window = window}), 1e-3, 1e-3));
    }
}

TEST(Attention, of_a_whole_text_gives_sinks_their_weight_and_their_gradient) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    generator.set_current_seed(1);
    const auto whole = at::TensorOptions().dtype(at::kDouble);
    const at::Tensor q = at::randn({1, 40, 6, 16}, whole);
    const at::Tensor k = at::randn({1, 40, 2, 16}, whole);
    const at::Tensor v = at::randn({1, 40, 2, 16}, whole);
    const at::Tensor sinks = at::randn({6}, whole).requires_grad_(true);
    for (const std::optional<std::int64_t> window :
         {std::optional<std::int64_t>(), std::optional<std::int64_t>(7)}) {
        const AttentionOptions options{.window = window, .sinks = sinks};
        const at::Tensor y = attend_within(q, k, v, options);
        const at::Tensor expected = naive_attention(q.select(0, 0),
                                                    k.select(0, 0).transpose(0, 1),
                                                    v.select(0, 0).transpose(0, 1),
                                                    options);
        EXPECT_TRUE(at::allclose(y.select(0, 0), expected, 1e-12, 1e-12));
        y.square().sum().backward();
        const at::Tensor slope = sinks.grad().clone();
        sinks.mutable_grad().reset();
        const at::NoGradGuard no_gradients;
        const auto loss_at = [&](double step) {
            at::Tensor moved = sinks.detach().clone();
            moved[3] += step;
            return attend_within(q, k, v, {.window = window, .sinks = moved})
                .square()
                .sum()
                .item<double>();
        };
        EXPECT_NEAR(slope[3].item<double>(), (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, 1e-6);
    }
}

INSTANTIATE_TEST_SUITE_P(shapes,
                         CacheAttention,
                         testing::Values(Case{1, 16, 8, 128, 1, 0},
                                         Case{1, 16, 8, 128, 700, 0},
                                         Case{1, 4, 4, 64, 650, 0},
                                         Case{1, 6, 2, 80, 301, 0},
                                         Case{1, 8, 2, 256, 611, 100},
                                         Case{1, 40, 1, 64, 1500, 0},
                                         Case{3, 20, 1, 36, 1300, 500},
                                         Case{4, 8, 2, 64, 333, 0},
                                         Case{7, 3, 1, 20, 7, 3},
                                         Case{64, 4, 4, 32, 64, 0},
                                         Case{129, 8, 4, 128, 801, 0},
                                         Case{200, 6, 2, 80, 905, 130},
                                         Case{33, 5, 1, 70, 600, 0},
                                         Case{300, 4, 1, 256, 300, 17}));

}  // namespace
}  // namespace anamnesis::runtime
