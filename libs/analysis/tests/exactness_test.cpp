// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "anamnesis/analysis/logit_gradients.hpp"

#include "analysis_golden.hpp"
#include "head_gradients.hpp"

namespace anamnesis::analysis {
namespace {

/// Longer than one block of rows, and no multiple of it.
constexpr std::int64_t length = 700;

struct Case {
    std::int64_t heads = 4;
    std::int64_t kv_heads = 2;
    std::int64_t window = length;
    std::optional<double> softcap{};
};

/// The whole matrix of logits, as a leaf of the graph.
struct ExplicitAttention {
    explicit ExplicitAttention(const Case& sizes) {
        at::Generator generator = at::detail::getDefaultCPUGenerator();
        generator.set_current_seed(3);
        const auto random = [](std::int64_t heads) {
            return at::randn({heads, length, 8}, at::kDouble).requires_grad_(true);
        };
        q = random(sizes.heads);
        k = random(sizes.kv_heads);
        v = random(sizes.kv_heads);
        mixed_grad = at::randn({sizes.heads, length, 8}, at::kDouble);
        const std::int64_t group = sizes.heads / sizes.kv_heads;
        logits = at::matmul(q, k.repeat_interleave(group, 0).transpose(-1, -2)) / std::sqrt(8.0);
        logits.retain_grad();
        const at::Tensor all = at::ones({length, length}, at::kBool);
        const at::Tensor hidden = all.triu(1).logical_or(all.tril(-sizes.window));
        const at::Tensor capped =
            sizes.softcap ? at::tanh(logits / *sizes.softcap) * *sizes.softcap : logits;
        const at::Tensor weights =
            at::softmax(capped.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
        mixed = at::matmul(weights, v.repeat_interleave(group, 0));
        (mixed * mixed_grad).sum().backward();
    }

    LayerPass pass(const Case& sizes) const {
        return {.q = q.detach(),
                .k = k.detach(),
                .v = v.detach(),
                .mixed_grad = mixed_grad,
                .window = sizes.window,
                .softcap = sizes.softcap};
    }

    at::Tensor q, k, v, mixed_grad, logits, mixed;
};

struct HeadGradients : ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Shapes,
                         HeadGradients,
                         ::testing::Values(Case{},
                                           Case{.heads = 3, .kv_heads = 3, .window = length},
                                           Case{.heads = 4, .kv_heads = 1, .window = 50},
                                           Case{.softcap = 0.7}));

LayerGradients empty(const Case& sizes) {
    const auto heads = static_cast<std::size_t>(sizes.heads);
    return {.layer = 0,
            .sums = std::vector(heads, std::vector<double>(length)),
            .predicting_sums = std::vector(heads, std::vector<double>(length)),
            .count = std::vector<std::uint64_t>(length),
            .predicting_count = std::vector<std::uint64_t>(length),
            .bands = {}};
}

TEST_P(HeadGradients, AreThoseOfAutogradOnTheWholeMatrix) {
    const ExplicitAttention exact(GetParam());
    std::vector<bool> predicting(length);
    for (std::size_t t = 0; t < predicting.size(); t += 3) {
        predicting[t] = true;
    }
    LayerGradients result = empty(GetParam());
    sum_logit_gradients(exact.pass(GetParam()), predicting, result);
    const at::Tensor magnitudes = at::abs(exact.logits.grad());
    for (std::int64_t head = 0; head < GetParam().heads; ++head) {
        const at::Tensor matrix = magnitudes.select(0, head);
        for (std::int64_t tau = 0; tau < length; ++tau) {
            const at::Tensor pairs = matrix.diagonal(-tau).contiguous();  // of queries tau, …
            double predicting_sum = 0.0;
            for (std::int64_t i = 0; i < pairs.size(0); ++i) {
                predicting_sum += predicting[static_cast<std::size_t>(i + tau)]
                                      ? pairs.const_data_ptr<double>()[i]
                                      : 0.0;
            }
            const auto h = static_cast<std::size_t>(head);
            const auto at_tau = static_cast<std::size_t>(tau);
            const double sum = pairs.sum().item<double>();
            EXPECT_NEAR(result.sums[h][at_tau], sum, 1e-10 * (sum + 1e-12));
            EXPECT_NEAR(result.predicting_sums[h][at_tau],
                        predicting_sum,
                        1e-10 * (predicting_sum + 1e-12));
        }
    }
    const std::uint64_t beyond = GetParam().window < length ? 0U : 1U;
    EXPECT_EQ(result.count[0], static_cast<std::uint64_t>(length));
    EXPECT_EQ(result.count[length - 1], beyond);
}

TEST_P(HeadGradients, OfAllBandsAddUpToTheWhole) {
    const ExplicitAttention exact(GetParam());
    const LayerPass pass = exact.pass(GetParam());
    LayerGradients ignored = empty(GetParam());
    const RowTotals totals = sum_logit_gradients(pass, std::vector<bool>(length, true), ignored);
    at::Tensor q_grad, k_grad, v_grad, mixed;
    for (const DistanceBand& band : std::vector<DistanceBand>{
             {0, 1}, {1, 7}, {7, 64}, {64, 600}, {600, std::numeric_limits<std::size_t>::max()}}) {
        const BandShare share = compute_band_share(band, pass, totals);
        const auto add = [](at::Tensor& sum, const at::Tensor& part) {
            sum = sum.defined() ? sum + part : part;
        };
        add(q_grad, share.q_grad);
        add(k_grad, share.k_grad);
        add(v_grad, share.v_grad);
        add(mixed, share.mixed);
    }
    EXPECT_LT(testing::relative_rms(q_grad, exact.q.grad()), 1e-12);
    EXPECT_LT(testing::relative_rms(k_grad, exact.k.grad()), 1e-12);
    EXPECT_LT(testing::relative_rms(v_grad, exact.v.grad()), 1e-12);
    EXPECT_LT(testing::relative_rms(mixed, exact.mixed.detach()), 1e-12);
}

/// One band over everything is the gradient that training sees.
struct ProjectionGradients : ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Models, ProjectionGradients, ::testing::Values("qwen3", "qwen3_5"));

TEST_P(ProjectionGradients, OfEveryDistanceAreThoseOfTraining) {
    const testing::Golden golden(GetParam());
    const runtime::Network network = golden.load(DType::f64);
    const LabelledText& text = golden.rows.front();
    const LogitGradients result = logit_gradients(network, text, {.bands = {{0, text.ids.size()}}});
    const at::Tensor hidden = network.forward(at::tensor(text.ids, at::kLong).unsqueeze(0));
    const auto predictions = static_cast<std::int64_t>(text.ids.size()) - 1;
    const at::Tensor loss =
        at::cross_entropy_loss(network.logits(hidden.squeeze(0).narrow(0, 0, predictions)),
                               at::tensor(text.labels, at::kLong).narrow(0, 1, predictions));
    EXPECT_NEAR(loss.item<double>(), result.loss, 1e-12);
    loss.backward();
    for (const LayerGradients& layer : result.layers) {
        const auto norm = [&](const std::string& name) {
            return network.parameters()
                .at(format("model.layers.{}.self_attn.{}.weight", layer.layer, name))
                .grad();
        };
        // Rows of the output gate share q_proj where there is one; the logits do not reach them.
        at::Tensor query = norm("q_proj");
        if (query.size(0) == 2 * norm("o_proj").size(1)) {
            const auto heads = static_cast<std::int64_t>(layer.sums.size());
            const std::int64_t head_dim = query.size(0) / (2 * heads);
            query = query.view({heads, 2 * head_dim, -1}).narrow(1, 0, head_dim);
        }
        const BandNorms& band = layer.bands.front();
        const auto expect = [&](double actual, const at::Tensor& gradient) {
            const double exact = gradient.norm().item<double>();
            EXPECT_NEAR(actual, exact, 1e-10 * exact);
        };
        expect(band.query, query);
        expect(band.key, norm("k_proj"));
        expect(band.value, norm("v_proj"));
        expect(band.output, norm("o_proj"));
    }
}

}  // namespace
}  // namespace anamnesis::analysis
