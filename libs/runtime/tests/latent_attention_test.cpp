// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/latent_attention.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "golden.hpp"
#include "key_value_cache.hpp"
#include "latent_cache_attention.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::LatentAttentionSpec;
using testing::is_near;

/// Values narrower, as wide and wider than keys; one with more heads than a block of queries.
const std::vector<LatentAttentionSpec> specs{
    {.heads = 3, .nope_dim = 8, .rope_dim = 4, .value_dim = 10, .kv_rank = 12},
    {.heads = 20, .nope_dim = 12, .rope_dim = 6, .value_dim = 18, .kv_rank = 32},
    {.heads = 2, .nope_dim = 6, .rope_dim = 2, .value_dim = 14, .kv_rank = 9}};

struct Input {
    Linear key_value{};
    at::Tensor latents{};  ///< [S, 1, kv_rank + rope]
    at::Tensor q{};        ///< [S, heads, D]
};

Input random_input(const LatentAttentionSpec& spec, std::int64_t length, at::ScalarType type) {
    const auto options = at::TensorOptions().dtype(type);
    const std::int64_t rows = std::int64_t{spec.heads} * (spec.nope_dim + spec.value_dim);
    return {.key_value = {.weight = at::randn({rows, spec.kv_rank}, options) * 0.3},
            .latents = at::randn({length, 1, spec.cached_dim()}, options),
            .q = at::randn({length, spec.heads, spec.key_dim()}, options)};
}

/// What the whole text gives, expanded and without a cache, in float64.
at::Tensor attend_plainly(const LatentAttentionSpec& spec, const Input& input) {
    const std::int64_t length = input.q.size(0);
    const at::Tensor latents = input.latents.to(at::kDouble).squeeze(1);
    const at::Tensor both =
        at::matmul(latents.narrow(1, 0, spec.kv_rank), input.key_value.weight.to(at::kDouble).t())
            .view({1, length, spec.heads, spec.nope_dim + spec.value_dim});
    const at::Tensor shared = latents.narrow(1, spec.kv_rank, spec.rope_dim)
                                  .view({1, length, 1, spec.rope_dim})
                                  .expand({1, length, spec.heads, spec.rope_dim});
    return attend_within_latents(spec,
                                 input.q.to(at::kDouble).unsqueeze(0),
                                 at::cat({both.narrow(-1, 0, spec.nope_dim), shared}, -1),
                                 both.narrow(-1, spec.nope_dim, spec.value_dim))
        .squeeze(0);
}

using Form = at::Tensor (*)(const LatentAttentionSpec&,
                            const Linear&,
                            const at::Tensor&,
                            const KeyValueCache&);

/// A whole text by `form`, `piece` tokens at a time.
at::Tensor attend_in_pieces(const LatentAttentionSpec& spec,
                            const Input& input,
                            std::int64_t piece,
                            at::ScalarType cache_type,
                            Form form) {
    KeyValueCache cache(cache_type, 16);
    std::vector<at::Tensor> rows;
    for (std::int64_t first = 0; first < input.q.size(0); first += piece) {
        const std::int64_t count = std::min(piece, input.q.size(0) - first);
        cache.append(input.latents.narrow(0, first, count), {});
        rows.push_back(form(spec, input.key_value, input.q.narrow(0, first, count), cache));
    }
    return at::cat(rows, 0);
}

TEST(LatentAttention, AbsorbedEqualsExpandedInFloat64) {
    const at::NoGradGuard no_gradients;
    for (const LatentAttentionSpec& spec : specs) {
        const Input input = random_input(spec, 53, at::kDouble);
        const at::Tensor exact = attend_plainly(spec, input);
        for (const std::int64_t piece : {1, 5, 53}) {
            for (const Form form : {attend_absorbed, attend_expanded, attend_to_latents}) {
                EXPECT_TRUE(
                    is_near(attend_in_pieces(spec, input, piece, at::kDouble, form), exact, 1e-10));
            }
        }
    }
}

TEST(LatentAttention, KernelsFollowInFloat32) {
    const at::NoGradGuard no_gradients;
    for (const LatentAttentionSpec& spec : specs) {
        const Input input = random_input(spec, 53, at::kFloat);
        const at::Tensor exact = attend_plainly(spec, input);
        for (const std::int64_t piece : {1, 5, 53}) {
            for (const Form form : {attend_absorbed, attend_expanded, attend_to_latents}) {
                EXPECT_TRUE(
                    is_near(attend_in_pieces(spec, input, piece, at::kFloat, form), exact, 2e-6));
            }
        }
    }
}

TEST(LatentAttention, NarrowWeightsAndCachesCostTheirRounding) {
    const at::NoGradGuard no_gradients;
    for (const LatentAttentionSpec& spec : specs) {
        Input input = random_input(spec, 53, at::kFloat);
        const at::Tensor exact = attend_plainly(spec, input);
        input.key_value.weight = input.key_value.weight.to(at::kBFloat16);
        for (const std::int64_t piece : {1, 5, 53}) {
            for (const Form form : {attend_absorbed, attend_expanded}) {
                EXPECT_TRUE(is_near(
                    attend_in_pieces(spec, input, piece, at::kBFloat16, form), exact, 2e-2));
            }
        }
    }
}

TEST(LatentAttention, CachesHoldLatentsOnceAndForksShareThem) {
    const Input input = random_input(specs.front(), 20, at::kFloat);
    KeyValueCache cache(at::kFloat, 16);
    cache.append(input.latents, {});
    EXPECT_EQ(cache.bytes(), 2 * 16 * 16 * 4);  // two pages of 16 tokens of 12 + 4 values
    KeyValueCache fork = cache;
    EXPECT_EQ(fork.page(0), cache.page(0));
    fork.append(input.latents.narrow(0, 0, 1), {});
    EXPECT_EQ(fork.page(1), cache.page(1)) << "the first to go on writes beyond the other's end";
    cache.append(input.latents.narrow(0, 7, 1), {});
    EXPECT_EQ(fork.page(0), cache.page(0));
    EXPECT_NE(fork.page(1), cache.page(1));
    EXPECT_TRUE(fork.gather(20, 21, at::kFloat).keys.equal(fork.gather(0, 1, at::kFloat).keys));
    EXPECT_TRUE(cache.gather(20, 21, at::kFloat).keys.equal(cache.gather(7, 8, at::kFloat).keys));
    EXPECT_TRUE(fork.gather(0, 20, at::kFloat).keys.equal(cache.gather(0, 20, at::kFloat).keys));
}

}  // namespace
}  // namespace anamnesis::runtime
