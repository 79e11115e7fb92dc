// SPDX-License-Identifier: Apache-2.0
#include "mixers/short_convolution.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "convolution.hpp"
#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;
using testing::read_tensors;

constexpr double tolerance = 1e-6;

testing::Tensors read_golden() {
    return read_tensors(testing::golden_model("mixers") / "short_conv.safetensors");
}

const std::vector<std::string> cases{
    "lfm2", "lfm2_bias", "lfm3", "lfm2_shorter_than_kernel", "lfm2_one_token"};

struct Case {
    ShortConvolutionLayer layer{};
    at::Tensor projected{};
    at::Tensor past{};
};

Case make_case(const testing::Tensors& tensors, const std::string& name) {
    const auto at = [&](const std::string& key) { return tensors.at(name + "." + key); };
    Case made{.layer = {.kernel = at("weight").unsqueeze(1)},
              .projected = at::cat({at("B"), at("C"), at("x")}, -1),
              .past = at("past")};
    if (tensors.contains(name + ".bias")) {
        made.layer.bias = at("bias");
    }
    return made;
}

TEST(ShortConvolution, FollowsTheReferenceInPiecesOfAnyLength) {
    const testing::Tensors golden = read_golden();
    for (const std::string& name : cases) {
        const Case from_past = make_case(golden, name);
        at::Tensor none;
        EXPECT_TRUE(is_near(gate_and_convolve(from_past.layer, from_past.projected, none),
                            golden.at(name + ".output_from_zero_past"),
                            tolerance))
            << name;
        const std::int64_t length = from_past.projected.size(1);
        for (const std::int64_t piece : {std::int64_t{1}, std::int64_t{5}, length}) {
            at::Tensor past = from_past.past;
            std::vector<at::Tensor> outputs;
            for (std::int64_t first = 0; first < length; first += piece) {
                outputs.push_back(gate_and_convolve(
                    from_past.layer,
                    from_past.projected.narrow(1, first, std::min(piece, length - first)),
                    past));
            }
            EXPECT_TRUE(is_near(at::cat(outputs, 1), golden.at(name + ".output"), tolerance))
                << name;
            EXPECT_TRUE(is_near(past, golden.at(name + ".final_past"), tolerance)) << name;
        }
    }
}

TEST(ShortConvolution, HasTheGradientsOfTheReference) {
    const testing::Tensors golden = read_golden();
    for (const auto& [type, allowed] :
         {std::pair{at::kDouble, tolerance}, std::pair{at::kFloat, tolerance}}) {
        for (const std::string& name : cases) {
            testing::Tensors watched = golden;
            testing::Tensors leaves;
            for (const std::string key : {"B", "C", "x", "weight", "bias", "past"}) {
                if (const auto found = watched.find(name + "." + key); found != watched.end()) {
                    found->second = found->second.to(type, false, true).requires_grad_(true);
                    leaves[key] = found->second;
                }
            }
            Case made = make_case(watched, name);
            const at::Tensor y = gate_and_convolve(made.layer, made.projected, made.past);
            at::Tensor loss = (y * golden.at(name + ".d_output")).sum();
            if (golden.contains(name + ".d_final_past")) {
                loss = loss + (made.past * golden.at(name + ".d_final_past")).sum();
            }
            loss.backward();
            for (const auto& [key, leaf] : leaves) {
                EXPECT_TRUE(is_near(leaf.grad(), golden.at(name + ".grad." + key), allowed))
                    << name << " " << key;
            }
        }
    }
}

TEST(ShortConvolution, WithBiasAndSiluFollowsTheReference) {
    const testing::Tensors golden = read_golden();
    for (const std::string name : {"silu_bias", "silu_bias_short"}) {
        const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
        const ConvolutionResult result = convolve(at("x"), at("weight"), at("past"));
        EXPECT_TRUE(is_near(at::silu(result.output + at("bias")), at("output"), tolerance));
        EXPECT_TRUE(is_near(result.past, at("final_past"), tolerance));
    }
}

}  // namespace
}  // namespace anamnesis::runtime
