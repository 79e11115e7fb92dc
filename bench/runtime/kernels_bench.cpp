// SPDX-License-Identifier: Apache-2.0
//
// The parts of a forward pass by themselves, at the sizes of a 0.2 B Qwen3 shape.

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <benchmark/benchmark.h>

#include "anamnesis/checkpoint/mixers/latent_attention.hpp"
#include "anamnesis/checkpoint/mixers/mamba2.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/second_moment.hpp"

#include "attention.hpp"
#include "key_value_cache.hpp"
#include "latent_cache_attention.hpp"
#include "layer_call.hpp"
#include "linear.hpp"
#include "mixers/mamba2.hpp"
#include "mixers/short_convolution.hpp"
#include "norm.hpp"
#include "recurrence.hpp"
#include "selective_scan.hpp"
#include "state_space.hpp"

namespace {

using namespace anamnesis::runtime;

void set_rate(benchmark::State& state, double operations) {
    state.counters["GFLOP/s"] = benchmark::Counter(
        operations * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

/// `tokens` queries at the end of a cache of `length`.
void attention(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const std::int64_t length = state.range(1);
    KeyValueCache cache(at::kBFloat16, 1024);
    cache.append(at::randn({length, 8, 128}), at::randn({length, 8, 128}));
    const at::Tensor q = at::randn({tokens, 16, 128});
    for (auto _ : state) {
        benchmark::DoNotOptimize(attend_to_cache(q, cache, {}));
    }
    const auto seen = static_cast<double>(tokens) *
                      (static_cast<double>(length) - static_cast<double>(tokens) / 2.0);
    set_rate(state, 4.0 * 16.0 * 128.0 * seen);
}
BENCHMARK(attention)
    ->Args({1024, 1024})
    ->Args({1024, 8192})
    ->Args({1, 2048})
    ->Args({1, 8192})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// Latent attention of Kimi Linear's sizes: `tokens` queries at the end of a cache of `length`.
/// "caches/s" times the cache's bytes is the rate at which it would be read.
void latent_attention(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const std::int64_t length = state.range(1);
    const anamnesis::checkpoint::LatentAttentionSpec spec{
        .heads = 32, .nope_dim = 128, .rope_dim = 64, .value_dim = 128, .kv_rank = 512};
    KeyValueCache cache(at::kBFloat16, 1024);
    cache.append(at::randn({length, 1, spec.cached_dim()}), {});
    const Linear key_value{.weight = at::randn({32 * 256, 512}).to(at::kBFloat16)};
    const at::Tensor q = at::randn({tokens, spec.heads, spec.key_dim()});
    for (auto _ : state) {
        benchmark::DoNotOptimize(attend_to_latents(spec, key_value, q, cache));
    }
    state.counters["cache GB/s"] = benchmark::Counter(
        static_cast<double>(cache.bytes() * state.iterations()) / 1e9, benchmark::Counter::kIsRate);
    const auto seen = static_cast<double>(tokens) *
                      (static_cast<double>(length) - static_cast<double>(tokens) / 2.0);
    // Of the form with fewer operations: on latents for one token, on keys and values for many.
    set_rate(state, 2.0 * 32.0 * (tokens == 1 ? 1088.0 : 320.0) * seen);
}
BENCHMARK(latent_attention)
    ->Args({1, 2048})
    ->Args({1, 32768})
    ->Args({64, 8192})
    ->Args({1024, 1024})
    ->Args({1024, 8192})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// A bf16 matrix on `rows` tokens.
void linear(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t rows = state.range(0);
    const std::int64_t outputs = state.range(1);
    const std::int64_t inputs = state.range(2);
    const Linear layer{.weight = at::randn({outputs, inputs}).to(at::kBFloat16)};
    const at::Tensor x = at::randn({rows, inputs});
    for (auto _ : state) {
        benchmark::DoNotOptimize(apply(layer, x));
    }
    set_rate(state, 2.0 * static_cast<double>(rows * outputs * inputs));
}
BENCHMARK(linear)
    ->Args({1024, 3072, 1024})
    ->Args({1024, 1024, 3072})
    ->Args({2048, 3072, 1024})
    ->Args({2048, 1024, 3072})
    ->Args({1, 3072, 1024})
    ->Args({1, 1024, 3072})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void norm_of_rows(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const RmsNorm norm{.gain = at::randn({1024})};
    const at::Tensor x = at::randn({1024, 1024});
    for (auto _ : state) {
        benchmark::DoNotOptimize(apply(norm, x));
    }
}
BENCHMARK(norm_of_rows)->UseRealTime()->Unit(benchmark::kMillisecond);

void gate_of_mlp(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const at::Tensor gate = at::randn({1024, 3072});
    const at::Tensor up = at::randn({1024, 3072});
    for (auto _ : state) {
        benchmark::DoNotOptimize(swiglu(gate, up));
    }
}
BENCHMARK(gate_of_mlp)->UseRealTime()->Unit(benchmark::kMillisecond);

/// The gated delta rule over many tokens, or one.
void gated_delta(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const at::Tensor x = at::randn({1, tokens, 16, 128});
    const at::Tensor k = l2_normalised(at::randn({1, tokens, 16, 128}));
    const at::Tensor gate = at::randn({1, tokens, 16}).sigmoid();
    const at::Tensor start = at::randn({1, 16, 128, 128});
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            run_recurrence({.q = x, .k = k, .v = x, .decay = -gate, .beta = gate, .state = start}));
    }
    state.counters["tokens/s"] = benchmark::Counter(
        static_cast<double>(tokens * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(gated_delta)
    ->Arg(1)
    ->Arg(1024)
    ->Arg(4096)
    ->Arg(65536)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void set_tokens(benchmark::State& state, std::int64_t tokens) {
    state.counters["tokens/s"] = benchmark::Counter(
        static_cast<double>(tokens * state.iterations()), benchmark::Counter::kIsRate);
}

/// 48 heads of 64 that share 128 states.
StateSpace make_state_space(std::int64_t tokens) {
    return {.x = at::randn({1, tokens, 48, 64}),
            .step = at::rand({1, tokens, 48}),
            .b = at::randn({1, tokens, 1, 128}),
            .c = at::randn({1, tokens, 1, 128}),
            .log_rate = at::randn({48}),
            .skip = at::randn({48}),
            .state = at::randn({1, 48, 128, 64})};
}

/// Mamba-2's recurrence over many tokens.
void state_space(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const StateSpace input = make_state_space(tokens);
    for (auto _ : state) {
        benchmark::DoNotOptimize(run_state_space(input));
    }
    set_tokens(state, tokens);
}
BENCHMARK(state_space)
    ->Arg(1024)
    ->Arg(4096)
    ->Arg(65536)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// The same as tensors, as where gradients are wanted, `piece` tokens at a time; pieces of one
/// token are its step form. Neither has a kernel.
void state_space_as_tensors(benchmark::State& state) {
    const std::int64_t tokens = state.range(0);
    const std::int64_t piece = state.range(1);
    StateSpace input = make_state_space(tokens);
    input.log_rate.requires_grad_();
    for (auto _ : state) {
        at::Tensor kept = input.state;
        for (std::int64_t first = 0; first < tokens; first += piece) {
            StateSpace part = input;
            part.x = input.x.narrow(1, first, piece);
            part.step = input.step.narrow(1, first, piece);
            part.b = input.b.narrow(1, first, piece);
            part.c = input.c.narrow(1, first, piece);
            part.state = kept;
            kept = run_state_space(part).state.detach();
        }
        benchmark::DoNotOptimize(kept);
    }
    set_tokens(state, tokens);
}
BENCHMARK(state_space_as_tensors)
    ->Args({4096, 1})
    ->Args({4096, 4096})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// The second moment of 1,024 inputs of width 4096, as `fit` sums it: of bfloat16 rows, or in
/// float64 by stripes of the lower triangle.
void second_moment(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = 1024;
    const std::int64_t width = 4096;
    const at::Tensor rows = at::randn({tokens, width}).to(at::kBFloat16);
    const at::Tensor exact = rows.to(at::kDouble);
    const at::Tensor sum = at::zeros({width, width}, at::kDouble);
    const bool is_narrow = state.range(0) != 0;
    if (is_narrow && !has_bf16_products()) {
        state.SkipWithError("the processor does not multiply bfloat16");
        return;
    }
    for (auto _ : state) {
        if (is_narrow) {
            add_second_moment(sum, rows);
            continue;
        }
        constexpr std::int64_t stripe = 512;
        for (std::int64_t first = 0; first < width; first += stripe) {
            sum.slice(0, first, first + stripe)
                .slice(1, 0, first + stripe)
                .addmm_(exact.slice(1, first, first + stripe).t(),
                        exact.slice(1, 0, first + stripe));
        }
    }
    set_rate(state, static_cast<double>(tokens * width * width));
}
BENCHMARK(second_moment)
    ->ArgName("bf16")
    ->Arg(1)
    ->Arg(0)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// A Mamba-2 layer of 48 heads of 64 in a stream of 1536, in bf16.
Mamba2Layer make_mamba2_layer() {
    const anamnesis::checkpoint::Mamba2Spec spec{
        .heads = 48, .head_dim = 64, .groups = 1, .state_size = 128, .conv_width = 4};
    const std::int64_t inner = 48 * 64;
    const std::int64_t channels = inner + 2 * 128;
    return {
        .spec = spec,
        .in_proj = {.weight = (at::randn({inner + channels + 48, 1536}) * 0.02).to(at::kBFloat16)},
        .kernel = at::randn({channels, 1, 4}),
        .kernel_bias = at::randn({channels}),
        .dt_bias = at::randn({48}),
        .log_rate = at::randn({48}),
        .skip = at::randn({48}),
        .norm = {.gain = at::rand({inner})},
        .out_proj = {.weight = (at::randn({1536, inner}) * 0.02).to(at::kBFloat16)}};
}

/// A whole Mamba-2 layer: `tokens` of a text that goes on, `piece` at a time. Pieces of one token
/// are its step form.
void mamba2_layer(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const std::int64_t piece = state.range(1);
    const Mamba2Layer layer = make_mamba2_layer();
    const at::Tensor x = at::randn({1, tokens, 1536});
    LayerState kept;
    LayerState* const one = &kept;
    for (auto _ : state) {
        for (std::int64_t first = 0; first < tokens; first += piece) {
            benchmark::DoNotOptimize(mix(layer, x.narrow(1, first, piece), {}, {&one, 1}));
        }
    }
    set_tokens(state, tokens);
}
BENCHMARK(mamba2_layer)
    ->Args({4096, 1})
    ->Args({4096, 4096})
    ->Args({65536, 4096})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// The same without its projections, which both forms share.
void mamba2_between_projections(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const std::int64_t piece = state.range(1);
    const Mamba2Layer layer = make_mamba2_layer();
    const at::Tensor projected = at::randn({1, tokens, layer.in_proj.weight.size(0)});
    LayerState kept;
    LayerState* const one = &kept;
    for (auto _ : state) {
        for (std::int64_t first = 0; first < tokens; first += piece) {
            benchmark::DoNotOptimize(
                mix_projected(layer, projected.narrow(1, first, piece), Call(), {&one, 1}));
        }
    }
    set_tokens(state, tokens);
}
BENCHMARK(mamba2_between_projections)
    ->Args({4096, 1})
    ->Args({4096, 4096})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// Mamba-1's recurrence over many tokens: 4096 channels of 16 states.
void selective_scan(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const SelectiveScan input{.x = at::randn({1, tokens, 4096}),
                              .step = at::rand({1, tokens, 4096}),
                              .b = at::randn({1, tokens, 16}),
                              .c = at::randn({1, tokens, 16}),
                              .log_rate = at::randn({4096, 16}),
                              .skip = at::randn({4096}),
                              .state = at::randn({1, 4096, 16})};
    for (auto _ : state) {
        benchmark::DoNotOptimize(run_selective_scan(input));
    }
    set_tokens(state, tokens);
}
BENCHMARK(selective_scan)->Arg(1)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);
/// The same with a decay for each key channel (Kimi delta attention).
void kimi_delta(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const std::int64_t tokens = state.range(0);
    const at::Tensor x = at::randn({1, tokens, 16, 128});
    const at::Tensor k = l2_normalised(at::randn({1, tokens, 16, 128}));
    const at::Tensor gate = at::randn({1, tokens, 16}).sigmoid();
    const at::Tensor decay = -at::randn({1, tokens, 16, 128}).sigmoid();
    const at::Tensor start = at::randn({1, 16, 128, 128});
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            run_recurrence({.q = x, .k = k, .v = x, .decay = decay, .beta = gate, .state = start}));
    }
    state.counters["tokens/s"] = benchmark::Counter(
        static_cast<double>(tokens * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(kimi_delta)->Arg(1)->Arg(1024)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);

/// What lies between the projections of LFM2's gated short convolution, 2048 wide.
void short_convolution(benchmark::State& state) {
    const at::NoGradGuard no_gradients;
    const ShortConvolutionLayer layer{.kernel = at::randn({2048, 1, 3})};
    const at::Tensor projected = at::randn({1, state.range(0), 3 * 2048});
    at::Tensor past;
    for (auto _ : state) {
        benchmark::DoNotOptimize(gate_and_convolve(layer, projected, past));
    }
}
BENCHMARK(short_convolution)->Arg(1)->Arg(1024)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace

int main(int argc, char** argv) {
    anamnesis::runtime::keep_freed_memory();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
