// SPDX-License-Identifier: Apache-2.0
#include "key_value_cache.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace anamnesis::runtime {
namespace {

constexpr std::int64_t page_length = 3;
constexpr std::int64_t sequences = 3;

/// Caches that hold `length` tokens, as `append` makes them.
std::vector<KeyValueCache> make_caches(at::ScalarType type,
                                       const at::Tensor& keys,
                                       const at::Tensor& values,
                                       std::int64_t length) {
    std::vector<KeyValueCache> caches;
    for (std::int64_t b = 0; b < keys.size(0); ++b) {
        caches.emplace_back(type, page_length);
        if (length > 0) {
            caches.back().append(
                keys.select(0, b).narrow(0, 0, length),
                values.defined() ? values.select(0, b).narrow(0, 0, length) : values);
        }
    }
    return caches;
}

void append_token_by_token(std::vector<KeyValueCache>& caches,
                           const at::Tensor& keys,
                           const at::Tensor& values) {
    std::vector<KeyValueCache*> all;
    for (KeyValueCache& cache : caches) {
        all.push_back(&cache);
    }
    for (std::int64_t t = 0; t < keys.size(1); ++t) {
        append_each(all,
                    keys.narrow(1, t, 1).contiguous(),
                    values.defined() ? values.narrow(1, t, 1).contiguous() : values);
    }
}

void expect_equal(const KeyValueCache& cache, const KeyValueCache& expected) {
    ASSERT_EQ(cache.length(), expected.length());
    const auto held = cache.gather(0, cache.length(), cache.type());
    const auto wanted = expected.gather(0, expected.length(), expected.type());
    EXPECT_TRUE(at::equal(held.keys, wanted.keys));
    EXPECT_TRUE(at::equal(held.values, wanted.values));
}

TEST(KeyValueCache, TakesATokenOfEachSequenceAsTokensOfOne) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        for (const bool has_values : {true, false}) {
            const at::Tensor keys = at::randn({sequences, 8, 2, 5});
            const at::Tensor values = has_values ? at::randn({sequences, 8, 2, 5}) : at::Tensor();
            std::vector<KeyValueCache> caches = make_caches(type, keys, values, 0);
            append_token_by_token(caches, keys, values);
            const std::vector<KeyValueCache> expected = make_caches(type, keys, values, 8);
            for (std::size_t b = 0; b < caches.size(); ++b) {
                expect_equal(caches[b], expected[b]);
            }
        }
    }
}

TEST(KeyValueCache, LeavesAForkAsItWasWhenATokenIsTaken) {
    const at::Tensor keys = at::randn({1, 6, 2, 5});
    const at::Tensor values = at::randn({1, 6, 2, 5});
    std::vector<KeyValueCache> trunk = make_caches(at::kBFloat16, keys, values, 4);
    std::vector<KeyValueCache> first = trunk;
    std::vector<KeyValueCache> second = trunk;
    append_token_by_token(first, keys.narrow(1, 4, 2), values.narrow(1, 4, 2));
    append_token_by_token(second, values.narrow(1, 4, 2), keys.narrow(1, 4, 2));
    expect_equal(first.front(), make_caches(at::kBFloat16, keys, values, 6).front());
    expect_equal(trunk.front(), make_caches(at::kBFloat16, keys, values, 4).front());
    const auto astray = second.front().gather(4, 6, at::kFloat);
    EXPECT_TRUE(at::equal(
        astray.keys, values[0].narrow(0, 4, 2).transpose(0, 1).to(at::kBFloat16).to(at::kFloat)));
}

}  // namespace
}  // namespace anamnesis::runtime
