// SPDX-License-Identifier: Apache-2.0
//
// The moments of a mixture against routing that is done again in plain steps.
#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/runtime/network.hpp"

#include "calibrator.hpp"
#include "temporary_folder.hpp"
#include "text_sums.hpp"

namespace anamnesis::calibration {
namespace {

namespace fs = std::filesystem;
namespace role = checkpoint::role;

std::vector<language::SupervisedText> make_texts() {
    std::vector<language::SupervisedText> texts;
    for (std::int64_t t = 0; t < 5; ++t) {
        language::SupervisedText& text = texts.emplace_back();
        for (std::int64_t i = 0; i < 30; ++i) {
            text.ids.push_back((7 * i * i + 11 * t + i) % 53);
            text.labels.push_back(i % 3 == 0 || i > 20 ? text.ids.back() : language::unsupervised);
        }
    }
    return texts;
}

/// What the experts of one layer read, from the router's input alone.
struct PlainMoments {
    std::map<std::int64_t, at::Tensor> first{}, last{};
    std::map<std::int64_t, std::uint64_t> counts{};
};

PlainMoments sum_plainly(const runtime::Network& network,
                         LayerIndex layer,
                         const std::vector<language::SupervisedText>& texts) {
    const auto matrix = [&](const std::string& of) {
        return network.parameter(layer, of).to(at::kDouble);
    };
    PlainMoments made;
    for (const language::SupervisedText& text : texts) {
        at::Tensor input;
        network.forward(to_tensor(text), {}, {}, [&](const runtime::MatrixInput& one) {
            if (one.layer == layer && one.role == role::router) {
                input = one.values.select(0, 0).to(at::kDouble);
            }
        });
        const at::Tensor scores =
            at::softmax(at::linear(input, matrix(std::string(role::router))), -1);
        for (std::size_t t = 0; t + 1 < text.ids.size(); ++t) {
            if (text.labels[t + 1] == language::unsupervised) {
                continue;
            }
            const auto row = static_cast<std::int64_t>(t);
            const at::Tensor x = input.select(0, row);
            const at::Tensor chosen = std::get<1>(at::topk(scores.select(0, row), 3));
            for (std::int64_t i = 0; i < 3; ++i) {
                const auto expert = chosen[i].item<std::int64_t>();
                const auto part = [&](std::string_view of) {
                    return matrix(role::expert(static_cast<std::uint32_t>(expert), of));
                };
                const at::Tensor inner =
                    at::silu(at::linear(x, part(role::gate))) * at::linear(x, part(role::up));
                const auto add = [](at::Tensor& sum, const at::Tensor& read) {
                    const at::Tensor square = read.outer(read);
                    sum = sum.defined() ? sum + square : square;
                };
                add(made.first[expert], x);
                add(made.last[expert], inner);
                ++made.counts[expert];
            }
        }
    }
    return made;
}

at::Tensor to_tensor(const linalg::Matrix& matrix) {
    at::Tensor copy = at::zeros(
        {static_cast<std::int64_t>(matrix.rows()), static_cast<std::int64_t>(matrix.columns())},
        at::kDouble);
    std::ranges::copy(matrix.values(), copy.mutable_data_ptr<double>());
    return copy;
}

/// ||a - b|| / ||b||. The texts run in float32: single elements may nearly cancel.
double find_distance(const linalg::Matrix& a, const at::Tensor& b) {
    return ((to_tensor(a) - b).norm() / b.norm()).item<double>();
}

TEST(ExpertMoments, AreThoseOfTheTokensThatTheRouterSends) {
    const fs::path model = fs::path(ANAMNESIS_TESTDATA) / "models" / "qwen3_moe_base";
    const testing::TemporaryFolder folder;
    fs::copy(model, folder.path() / "pre", fs::copy_options::recursive);
    const auto pre = checkpoint::open_recognised(folder.path() / "pre");
    const auto post = checkpoint::open_recognised(model);
    restore::Request request;
    request.selection.method = restore::Method::fit;
    request.selection.groups = {checkpoint::TensorGroup::mlp};
    request.fit.mus = {0.3};
    const restore::Plan plan = restore::make_plan(pre, post, request);
    const Watch watch;
    const Calibrator calibrator(plan, {.dtype = DType::f32}, watch);
    const auto texts = make_texts();
    const auto sums = calibrator.sum(restore::CalibrationSide::recall, texts).finish();
    const runtime::Network network =
        runtime::load_network(post.checkpoint, post.model, {.dtype = DType::f32});
    std::size_t layers = 0;
    for (std::uint32_t i = 0; i < post.model.layers.size(); ++i) {
        const restore::MomentKey first{
            .part = "experts", .side = restore::CalibrationSide::recall, .layer = LayerIndex(i)};
        restore::MomentKey last = first;
        last.part = "experts_down";
        if (!sums.has(first)) {
            continue;
        }
        ++layers;
        const PlainMoments plain = sum_plainly(network, LayerIndex(i), texts);
        const restore::Moment of_first = sums.load(first);
        const restore::Moment of_last = sums.load(last);
        ASSERT_EQ(of_first.matrices.size(), 6U);
        for (const auto& [expert, moment] : plain.first) {
            const auto e = static_cast<std::size_t>(expert);
            EXPECT_LE(find_distance(of_first.matrices[e], moment), 1e-5);
            EXPECT_LE(find_distance(of_last.matrices[e], plain.last.at(expert)), 1e-5);
            EXPECT_EQ(of_first.counts[e], plain.counts.at(expert));
            EXPECT_EQ(of_last.counts[e], plain.counts.at(expert));
        }
    }
    EXPECT_GT(layers, 0U);
}

}  // namespace
}  // namespace anamnesis::calibration
