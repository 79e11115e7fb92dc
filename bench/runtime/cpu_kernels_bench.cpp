// SPDX-License-Identifier: Apache-2.0
//
// The plain loops of the CPU, on one thread and data that fit a core's cache.

#include <cstddef>
#include <vector>

#include <benchmark/benchmark.h>

#include "cpu_kernels.hpp"

namespace {

using namespace anamnesis::runtime::cpu;

constexpr Bf16 half = 0x3F00;  // 0.5

/// `queries` against 256 keys, or what they take of 256 values, of a head of 64.
struct Heads {
    explicit Heads(const benchmark::State& state)
        : block{.group = static_cast<std::size_t>(state.range(0)),
                .count = 256,
                .dim = 64,
                .stride = 256},
          queries(block.group * block.dim, 0.3F),
          scores(block.group * block.stride, 0.1F),
          rows(block.count * block.dim, half) {}

    KeyBlock block;
    std::vector<float> queries;
    std::vector<float> scores;
    std::vector<Bf16> rows;
};

void scores(benchmark::State& state) {
    Heads heads(state);
    for (auto _ : state) {
        group_scores(heads.queries.data(), heads.rows.data(), heads.scores.data(), heads.block);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(scores)->Arg(1)->Arg(3)->Arg(8)->Unit(benchmark::kMicrosecond);

void sums(benchmark::State& state) {
    Heads heads(state);
    for (auto _ : state) {
        group_sums(heads.scores.data(), heads.rows.data(), heads.queries.data(), heads.block);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(sums)->Arg(1)->Arg(3)->Arg(8)->Unit(benchmark::kMicrosecond);

void few_rows(benchmark::State& state) {
    constexpr std::size_t inputs = 1024;
    constexpr std::size_t outputs = 512;
    const auto rows = static_cast<std::size_t>(state.range(0));
    const std::vector<Bf16> weight(inputs * outputs, half);
    const std::vector<float> x(rows * inputs, 0.1F);
    std::vector<float> y(rows * outputs);
    const FewRows few{
        .x = x.data(), .rows = rows, .inputs = inputs, .outputs = outputs, .y = y.data()};
    for (auto _ : state) {
        product(weight.data(), few, 0, outputs);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(few_rows)->Arg(1)->Arg(2)->Arg(8)->Arg(16)->Unit(benchmark::kMicrosecond);

void few_rows_in_bf16(benchmark::State& state) {
    if (!has_bf16_products()) {
        state.SkipWithError("the processor does not multiply bfloat16");
        return;
    }
    constexpr std::size_t inputs = 1024;
    const auto rows = static_cast<std::size_t>(state.range(0));
    const auto outputs = static_cast<std::size_t>(state.range(1));
    const std::vector<Bf16> weight(inputs * outputs, half);
    const std::vector<Bf16> x(rows * inputs, half);
    std::vector<float> y(rows * outputs);
    const FewRows few{.rows = rows, .inputs = inputs, .outputs = outputs, .y = y.data()};
    for (auto _ : state) {
        product(weight.data(), x.data(), few, 0, outputs);
        benchmark::ClobberMemory();
    }
}
// A matrix that fits the cache, and one that is read from memory.
BENCHMARK(few_rows_in_bf16)
    ->ArgsProduct({{1, 2, 8, 16}, {512, 65536}})
    ->Unit(benchmark::kMicrosecond);

void swiglu_of_4096(benchmark::State& state) {
    std::vector<float> gate(4096, 0.3F);
    const std::vector<float> up(4096, 1.0F);
    for (auto _ : state) {
        swiglu(gate.data(), up.data(), gate.size());
        benchmark::ClobberMemory();
    }
}
BENCHMARK(swiglu_of_4096)->Unit(benchmark::kMicrosecond);

void softmax_of_4096(benchmark::State& state) {
    std::vector<float> values(4096, 0.3F);
    for (auto _ : state) {
        SoftmaxRow row;
        benchmark::DoNotOptimize(
            advance_softmax(row, values.data(), 0, values.size(), values.size()));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(softmax_of_4096)->Unit(benchmark::kMicrosecond);

/// Tokens of one head, 128 x 128, whose values correct each other.
struct Head {
    static constexpr std::size_t dim = 128;

    explicit Head(std::size_t length)
        : q(length * dim, 0.01F),
          k(length * dim, 0.02F),
          v(length * dim, 0.1F),
          decay(length, -0.01F),
          beta(length, 0.5F),
          out(length * dim),
          state(dim * dim, 0.01F) {}

    std::vector<float> q, k, v, decay, beta, out, state;
};

void corrected_chunk(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    Head head(length);
    std::vector<float> scratch(recurrent_chunk_scratch(length, Head::dim, Head::dim));
    const RecurrentChunk chunk{.q = head.q.data(),
                               .k = head.k.data(),
                               .v = head.v.data(),
                               .decay = head.decay.data(),
                               .beta = head.beta.data(),
                               .out = head.out.data(),
                               .length = length,
                               .key_dim = Head::dim,
                               .value_dim = Head::dim,
                               .key_stride = Head::dim,
                               .value_stride = Head::dim,
                               .out_stride = Head::dim,
                               .decay_stride = 1,
                               .beta_stride = 1};
    for (auto _ : state) {
        recurrent_chunk(head.state.data(), chunk, scratch.data());
        benchmark::ClobberMemory();
    }
}
BENCHMARK(corrected_chunk)->Arg(64)->Arg(128)->Unit(benchmark::kMicrosecond);

void corrected_step(benchmark::State& state) {
    Head head(1);
    const RecurrentStep step{.q = head.q.data(),
                             .k = head.k.data(),
                             .v = head.v.data(),
                             .out = head.out.data(),
                             .key_dim = Head::dim,
                             .value_dim = Head::dim,
                             .decay = 0.9F,
                             .beta = 0.5F,
                             .corrects = true};
    for (auto _ : state) {
        recurrent_step(head.state.data(), step);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(corrected_step)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
