// SPDX-License-Identifier: Apache-2.0
//
// Every width of vectors gives the same on any processor, also the widths that it does not choose.
#include "cpu_selective_scan.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#define ANAMNESIS_KERNELS "cpu_selective_scan.cpp"
#include "cpu_each_width.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using Scan = void(const ScanText&, std::size_t, float*, float*, float*, float*);

void expect_double_precision(Scan* scan) {
    constexpr std::size_t length = 70;
    constexpr std::size_t channels = 21;
    constexpr std::size_t states = 3;
    std::vector<float> x(length * channels);
    std::vector<float> b(length * states);
    std::vector<float> c(length * states);
    std::vector<float> skip(channels);
    std::mt19937 random(7);
    std::uniform_real_distribution<float> draw(-2.0F, 2.0F);
    for (auto* values : {&x, &b, &c, &skip}) {
        std::ranges::generate(*values, [&] { return draw(random); });
    }
    std::vector<float> step(length * channels);
    std::vector<float> rate(channels * states);
    for (std::size_t i = 0; i < step.size(); ++i) {
        step[i] = 0.05F * static_cast<float>(1 + i % 7);
    }
    for (std::size_t i = 0; i < rate.size(); ++i) {
        rate[i] = -0.5F * static_cast<float>(1 + i % 4);
    }
    const ScanText text{.x = x.data(),
                        .step = step.data(),
                        .rate = rate.data(),
                        .b = b.data(),
                        .c = c.data(),
                        .skip = skip.data(),
                        .length = length,
                        .channels = channels,
                        .states = states};
    std::vector<float> state(channels * states, 0.25F);
    std::vector<double> expected_state(channels * states, 0.25);
    std::vector<float> y(length * channels);
    std::vector<float> scratch(scan_scratch(states));
    for (std::size_t first = 0; first < channels; first += scan_lanes) {
        scan(text, first, state.data(), y.data(), nullptr, scratch.data());
    }
    for (std::size_t t = 0; t < length; ++t) {
        for (std::size_t i = 0; i < channels; ++i) {
            const double dt = step[t * channels + i];
            double expected = static_cast<double>(skip[i] * x[t * channels + i]);
            for (std::size_t n = 0; n < states; ++n) {
                double& held = expected_state[i * states + n];
                held = std::exp(dt * static_cast<double>(rate[i * states + n])) * held +
                       dt * static_cast<double>(x[t * channels + i] * b[t * states + n]);
                expected += held * static_cast<double>(c[t * states + n]);
            }
            ASSERT_NEAR(y[t * channels + i], expected, 1e-4) << t << ' ' << i;
        }
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
        ASSERT_NEAR(state[i], expected_state[i], 1e-4) << i;
    }
}

TEST(SelectiveScan, TakesChannelsThatFillNoVector) {
    expect_double_precision([](const ScanText& text,
                               std::size_t first,
                               float* state,
                               float* y,
                               float* points,
                               float* scratch) {
        lanes_16::scan_forward_body(text, first, state, y, points, scratch);
    });
    expect_double_precision(
        [](const ScanText& text,
           std::size_t first,
           float* state,
           float* y,
           float* points,
           float* scratch) { lanes_8::scan_forward_body(text, first, state, y, points, scratch); });
    expect_double_precision(
        [](const ScanText& text,
           std::size_t first,
           float* state,
           float* y,
           float* points,
           float* scratch) { lanes_4::scan_forward_body(text, first, state, y, points, scratch); });
}

}  // namespace
}  // namespace anamnesis::runtime::cpu
