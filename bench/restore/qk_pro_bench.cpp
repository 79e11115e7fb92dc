// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;
using linalg::MatrixView;

// HypeNet-9B: nine softmax layers of this shape.
constexpr std::size_t query_heads = 32;
constexpr std::size_t key_heads = 8;
constexpr std::size_t head_dim = 128;
constexpr std::size_t hidden = 4096;
constexpr std::size_t per_head = head_dim * hidden;
constexpr std::array relative_lambdas{0.001, 0.01, 0.1, 1.0, 10.0};

Matrix random_rows(std::uint64_t seed) {
    Random random(seed);
    Matrix result(head_dim, hidden);
    for (double& value : result.values()) {
        value = 0.02 * random.normal();
    }
    return result;
}

std::vector<std::byte> stored(const Matrix& rows) {
    std::vector<std::byte> bytes(per_head * 2);
    narrow(DType::bf16, rows.values(), bytes);
    return bytes;
}

/// What one thread keeps between heads: pages that were touched once stay touched.
struct Workspace {
    Matrix pre{head_dim, hidden};
    Matrix post{head_dim, hidden};
    std::vector<Matrix> results{relative_lambdas.size(), Matrix(head_dim, hidden)};
    std::vector<std::byte> bytes = std::vector<std::byte>(per_head * 2);
};

/// One layer from bf16 to bf16, all heads and lambdas; the argument is the number of threads.
void filter_layer(benchmark::State& state) {
    linalg::set_blas_threads(1);
    const auto threads = static_cast<std::size_t>(state.range(0));
    const auto metric = static_cast<ProMetric>(state.range(1));
    const std::vector<std::byte> key = stored(random_rows(1));
    const std::vector<std::byte> pre = stored(random_rows(2));
    const std::vector<std::byte> post = stored(random_rows(3));
    std::vector<Workspace> workspaces(threads);
    for (auto _ : state) {
        // A key head and its query heads are one piece of work.
        parallel_for(threads, static_cast<unsigned>(threads), [&](std::size_t thread) {
            Workspace& work = workspaces[thread];
            for (std::size_t group = thread; group < key_heads; group += threads) {
                widen(DType::bf16, key, work.pre.values());
                const ProFilter filter(
                    work.pre,
                    {.metric = metric,
                     .rotary = {checkpoint::RotaryLayout::Pairs::half_split, head_dim, 0}});
                std::array<double, relative_lambdas.size()> lambdas{};
                std::ranges::transform(relative_lambdas, lambdas.begin(), [&](double relative) {
                    return filter.absolute_lambda(relative);
                });
                std::vector<MatrixView<double>> outputs;
                outputs.reserve(work.results.size());
                for (Matrix& result : work.results) {
                    outputs.push_back(result);
                }
                for (std::size_t head = 0; head < query_heads / key_heads; ++head) {
                    widen(DType::bf16, pre, work.pre.values());
                    widen(DType::bf16, post, work.post.values());
                    filter.apply(lambdas, work.pre, work.post, outputs);
                    for (const Matrix& result : work.results) {
                        narrow(DType::bf16, result.values(), work.bytes);
                        benchmark::DoNotOptimize(work.bytes.data());
                    }
                }
            }
        });
    }
    state.SetLabel("x9 for all of HypeNet-9B");
}
BENCHMARK(filter_layer)
    ->ArgNames({"threads", "metric"})
    ->Args({1, static_cast<int>(ProMetric::gram)})
    ->Args({2, static_cast<int>(ProMetric::gram)})
    ->Args({2, static_cast<int>(ProMetric::rope)})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// The paper's form on one head and one lambda, once, and how many times longer than the filter
/// (its eigendecomposition included) it takes. Both on one thread.
void naive_head(benchmark::State& state) {
    using Clock = std::chrono::steady_clock;
    linalg::set_blas_threads(1);
    const Matrix key = random_rows(1);
    const Matrix pre = random_rows(2);
    const Matrix post = random_rows(3);
    Matrix result(head_dim, hidden);
    double lambda = 0.0;
    const Clock::time_point begin = Clock::now();
    constexpr int repeats = 10;
    for (int i = 0; i < repeats; ++i) {
        const ProFilter filter(key, {});
        lambda = filter.absolute_lambda(0.1);
        filter.apply(std::array{lambda}, pre, post, std::array{result.view()});
    }
    const std::chrono::duration<double> fast = (Clock::now() - begin) / repeats;
    double slow = 0.0;
    for (auto _ : state) {
        const Clock::time_point start = Clock::now();
        const Matrix rows = naive_qk_pro(lambda, key, pre, post);
        slow += std::chrono::duration<double>(Clock::now() - start).count();
        benchmark::DoNotOptimize(rows(0, 0));
    }
    slow /= static_cast<double>(state.iterations());
    state.counters["filter_ms"] = fast.count() * 1e3;
    state.counters["times_longer"] = slow / fast.count();
}
BENCHMARK(naive_head)->Unit(benchmark::kSecond)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace anamnesis::restore
