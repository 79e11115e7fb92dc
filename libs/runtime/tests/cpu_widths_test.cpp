// SPDX-License-Identifier: Apache-2.0
//
// Every width of vectors gives the same on any processor, also the widths that it does not choose.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu_kernels.hpp"

#define ANAMNESIS_KERNELS "../tests/cpu_bodies.hpp"
#include "cpu_each_width.hpp"

namespace anamnesis::runtime::cpu {
namespace {

/// The kernels of one width, callable.
struct Width {
    std::size_t values = 0;
    void (*bf16_scores)(const float*, const Bf16*, float*, const KeyBlock&) = nullptr;
    void (*float_scores)(const float*, const float*, float*, const KeyBlock&) = nullptr;
    void (*bf16_sums)(const float*, const Bf16*, float*, const KeyBlock&) = nullptr;
    void (*float_sums)(const float*, const float*, float*, const KeyBlock&) = nullptr;
    void (*bf16_product)(const Bf16*, const FewRows&, std::size_t, std::size_t) = nullptr;
    void (*float_product)(const float*, const FewRows&, std::size_t, std::size_t) = nullptr;
    void (*chunk)(float*, const RecurrentChunk&, float*) = nullptr;
    void (*step)(float*, const RecurrentStep&) = nullptr;
};

void PrintTo(const Width& width, std::ostream* out) {
    *out << width.values;
}

#define ANAMNESIS_WIDTH_OF(lanes)                                                      \
    Width {                                                                            \
        lanes::width,                                                                  \
            [](const float* q, const Bf16* k, float* s, const KeyBlock& b) {           \
                lanes::group_scores_body(q, k, s, b);                                  \
            },                                                                         \
            [](const float* q, const float* k, float* s, const KeyBlock& b) {          \
                lanes::group_scores_body(q, k, s, b);                                  \
            },                                                                         \
            [](const float* w, const Bf16* v, float* s, const KeyBlock& b) {           \
                lanes::group_sums_body(w, v, s, b);                                    \
            },                                                                         \
            [](const float* w, const float* v, float* s, const KeyBlock& b) {          \
                lanes::group_sums_body(w, v, s, b);                                    \
            },                                                                         \
            [](const Bf16* w, const FewRows& p, std::size_t begin, std::size_t end) {  \
                lanes::product_body(w, p, begin, end);                                 \
            },                                                                         \
            [](const float* w, const FewRows& p, std::size_t begin, std::size_t end) { \
                lanes::product_body(w, p, begin, end);                                 \
            },                                                                         \
            [](float* state, const RecurrentChunk& chunk, float* scratch) {            \
                lanes::recurrent_chunk_body(state, chunk, scratch);                    \
            },                                                                         \
            [](float* state, const RecurrentStep& step) {                              \
                lanes::recurrent_step_body<false>(state, step);                        \
            },                                                                         \
    }

class EveryWidth : public testing::TestWithParam<Width> {
protected:
    std::vector<float> make_values(std::size_t count) {
        std::vector<float> values(count);
        // Multiples of 1/64 up to 2: exact in bfloat16, as are their products and sums in float32.
        std::uniform_int_distribution<int> draw(-128, 128);
        for (float& value : values) {
            value = static_cast<float>(draw(random_)) / 64.0F;
        }
        return values;
    }

    static std::vector<Bf16> to_bf16(const std::vector<float>& values) {
        std::vector<Bf16> bits(values.size());
        narrow(values.data(), bits.data(), values.size());
        return bits;
    }

    std::mt19937 random_{7};
};

TEST_P(EveryWidth, ScoresEveryGroupOfQueries) {
    const Width& width = GetParam();
    for (const std::size_t group : {1U, 2U, 3U, 4U, 7U, 8U}) {
        for (const std::size_t dim : {24U, 64U, 96U, 128U}) {
            const KeyBlock block{.group = group, .count = 75, .dim = dim, .stride = 80};
            const auto queries = make_values(group * dim);
            auto keys = make_values(block.count * dim);
            // As bfloat16 has them: seven bits after the first.
            const auto bits = to_bf16(keys);
            widen(bits.data(), keys.data(), keys.size());
            std::vector<float> scores(group * block.stride, -1.0F);
            std::vector<float> of_bits(scores);
            width.float_scores(queries.data(), keys.data(), scores.data(), block);
            width.bf16_scores(queries.data(), bits.data(), of_bits.data(), block);
            for (std::size_t g = 0; g < group; ++g) {
                for (std::size_t j = 0; j < block.stride; ++j) {
                    double expected = j < block.count ? 0.0 : -1.0;
                    for (std::size_t d = 0; j < block.count && d < dim; ++d) {
                        expected += static_cast<double>(queries[g * dim + d] * keys[j * dim + d]);
                    }
                    ASSERT_NEAR(scores[g * block.stride + j], expected, 1e-3) << g << ' ' << j;
                    ASSERT_NEAR(of_bits[g * block.stride + j], expected, 1e-3) << g << ' ' << j;
                }
            }
        }
    }
}

TEST_P(EveryWidth, SumsValuesForEveryGroupOfQueries) {
    const Width& width = GetParam();
    for (const std::size_t group : {1U, 2U, 3U, 4U, 7U, 8U}) {
        for (const std::size_t dim : {24U, 64U, 96U, 128U}) {
            const KeyBlock block{.group = group, .count = 75, .dim = dim, .stride = 80};
            const auto weights = make_values(group * block.stride);
            auto values = make_values(block.count * dim);
            const auto bits = to_bf16(values);
            widen(bits.data(), values.data(), values.size());
            std::vector<float> sums(group * dim, 0.5F);
            std::vector<float> of_bits(sums);
            width.float_sums(weights.data(), values.data(), sums.data(), block);
            width.bf16_sums(weights.data(), bits.data(), of_bits.data(), block);
            for (std::size_t g = 0; g < group; ++g) {
                for (std::size_t d = 0; d < dim; ++d) {
                    double expected = 0.5;
                    for (std::size_t j = 0; j < block.count; ++j) {
                        expected += static_cast<double>(weights[g * block.stride + j] *
                                                        values[j * dim + d]);
                    }
                    ASSERT_NEAR(sums[g * dim + d], expected, 1e-3) << g << ' ' << d;
                    ASSERT_NEAR(of_bits[g * dim + d], expected, 1e-3) << g << ' ' << d;
                }
            }
        }
    }
}

TEST_P(EveryWidth, MultipliesAFewRows) {
    const Width& width = GetParam();
    for (const std::size_t rows : {1U, 2U, 5U}) {
        constexpr std::size_t inputs = 100;
        constexpr std::size_t outputs = 37;
        auto weight = make_values(inputs * outputs);
        const auto bits = to_bf16(weight);
        widen(bits.data(), weight.data(), weight.size());
        const auto x = make_values(rows * inputs);
        std::vector<float> y(rows * outputs);
        std::vector<float> of_bits(y);
        width.float_product(
            weight.data(),
            {.x = x.data(), .rows = rows, .inputs = inputs, .outputs = outputs, .y = y.data()},
            0,
            outputs);
        width.bf16_product(bits.data(),
                           {.x = x.data(),
                            .rows = rows,
                            .inputs = inputs,
                            .outputs = outputs,
                            .y = of_bits.data()},
                           0,
                           outputs);
        for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t o = 0; o < outputs; ++o) {
                double expected = 0.0;
                for (std::size_t i = 0; i < inputs; ++i) {
                    expected += static_cast<double>(x[r * inputs + i] * weight[o * inputs + i]);
                }
                ASSERT_NEAR(y[r * outputs + o], expected, 1e-3) << r << ' ' << o;
                ASSERT_NEAR(of_bits[r * outputs + o], expected, 1e-3) << r << ' ' << o;
            }
        }
    }
}

TEST_P(EveryWidth, TakesAChunkAsItTakesItsTokens) {
    const Width& width = GetParam();
    for (const std::size_t length : {1U, 15U, 37U}) {
        constexpr std::size_t key_dim = 24;
        constexpr std::size_t value_dim = 40;
        const auto q = make_values(length * key_dim);
        const auto v = make_values(length * value_dim);
        auto k = make_values(length * key_dim);
        for (std::size_t t = 0; t < length; ++t) {
            l2_normalise(k.data() + t * key_dim, 1e-6F, key_dim);
        }
        std::vector<float> decay(length);
        std::vector<float> beta(length);
        for (std::size_t t = 0; t < length; ++t) {
            decay[t] = -0.01F * static_cast<float>(t % 5);
            beta[t] = 0.5F + 0.1F * static_cast<float>(t % 3);
        }
        const auto start = make_values(key_dim * value_dim);
        auto state = start;
        auto stepped = start;
        std::vector<float> out(length * value_dim);
        std::vector<float> expected(length * value_dim);
        std::vector<float> scratch(recurrent_chunk_scratch(length, key_dim, value_dim));
        width.chunk(state.data(),
                    {.q = q.data(),
                     .k = k.data(),
                     .v = v.data(),
                     .decay = decay.data(),
                     .beta = beta.data(),
                     .out = out.data(),
                     .length = length,
                     .key_dim = key_dim,
                     .value_dim = value_dim,
                     .key_stride = key_dim,
                     .value_stride = value_dim,
                     .out_stride = value_dim,
                     .decay_stride = 1,
                     .beta_stride = 1},
                    scratch.data());
        for (std::size_t t = 0; t < length; ++t) {
            width.step(stepped.data(),
                       {.q = q.data() + t * key_dim,
                        .k = k.data() + t * key_dim,
                        .v = v.data() + t * value_dim,
                        .out = expected.data() + t * value_dim,
                        .key_dim = key_dim,
                        .value_dim = value_dim,
                        .decay = std::exp(decay[t]),
                        .beta = beta[t],
                        .corrects = true});
        }
        for (std::size_t i = 0; i < out.size(); ++i) {
            ASSERT_NEAR(out[i], expected[i], 2e-4F * (1.0F + std::abs(expected[i]))) << i;
        }
        for (std::size_t i = 0; i < state.size(); ++i) {
            ASSERT_NEAR(state[i], stepped[i], 2e-4F * (1.0F + std::abs(stepped[i]))) << i;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Widths,
                         EveryWidth,
                         testing::Values(ANAMNESIS_WIDTH_OF(lanes_16),
                                         ANAMNESIS_WIDTH_OF(lanes_8),
                                         ANAMNESIS_WIDTH_OF(lanes_4)),
                         [](const auto& given) { return std::to_string(given.param.values); });

}  // namespace
}  // namespace anamnesis::runtime::cpu
