// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/network.hpp"

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::golden_model;
using testing::golden_network;
using testing::is_near;
using testing::read_tensors;
using testing::stated_bf16_error;

constexpr double float32_tolerance = 1e-5;

struct GoldenNetwork : ::testing::TestWithParam<std::string> {
    Network network = golden_network(GetParam(), {.weight_type = at::kFloat});
    testing::Tensors expected = read_tensors(golden_model(GetParam()) / "expected.safetensors");
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenNetwork,
                         ::testing::ValuesIn(testing::golden_models()),
                         [](const auto& instance) { return instance.param; });

/// The next `length` tokens of every row, `piece` at a time.
at::Tensor read_in_pieces(const Network& network,
                          const at::Tensor& ids,
                          std::int64_t piece,
                          std::vector<NetworkState>& states) {
    std::vector<NetworkState*> all;
    for (NetworkState& state : states) {
        all.push_back(&state);
    }
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < ids.size(1); first += piece) {
        const std::int64_t count = std::min(piece, ids.size(1) - first);
        parts.push_back(network.logits(network.advance(ids.narrow(1, first, count), all)));
    }
    return at::cat(parts, 1);
}

std::vector<NetworkState> make_states(const Network& network, std::int64_t count) {
    std::vector<NetworkState> states;
    for (std::int64_t i = 0; i < count; ++i) {
        states.push_back(network.make_state());
    }
    return states;
}

TEST_P(GoldenNetwork, AgreesWithTheReferenceLayerByLayer) {
    const StreamObserver compare = [&](std::size_t i, const at::Tensor& stream) {
        EXPECT_TRUE(
            is_near(stream, expected.at(format("short.hidden_states.{}", i)), float32_tolerance))
            << "short.hidden_states." << i;
    };
    const at::Tensor hidden = network.forward(expected.at("short.input_ids"), compare);
    EXPECT_TRUE(is_near(hidden, expected.at("short.final_norm"), float32_tolerance));
    EXPECT_TRUE(is_near(network.logits(hidden), expected.at("short.logits"), float32_tolerance));
}

TEST_P(GoldenNetwork, AgreesWithTheReferenceOnALongText) {
    const at::Tensor logits = network.logits(network.forward(expected.at("input_ids")));
    EXPECT_TRUE(is_near(logits, expected.at("logits"), float32_tolerance));
}

TEST_P(GoldenNetwork, ReadsInPiecesOfAnyLength) {
    for (const std::int64_t piece : {1, 7, 64, 65, 150}) {
        std::vector<NetworkState> states = make_states(network, expected.at("input_ids").size(0));
        const at::Tensor logits = read_in_pieces(network, expected.at("input_ids"), piece, states);
        EXPECT_TRUE(is_near(logits, expected.at("logits"), float32_tolerance)) << piece;
    }
}

TEST_P(GoldenNetwork, TellsTheLastTokenOfAPieceAlone) {
    const at::Tensor ids = expected.at("input_ids");
    for (const std::int64_t piece : {1, 2, 7, 64, 150}) {
        std::vector<NetworkState> states = make_states(network, ids.size(0));
        std::vector<NetworkState*> all;
        for (NetworkState& state : states) {
            all.push_back(&state);
        }
        std::vector<at::Tensor> told;
        std::vector<at::Tensor> exact;
        for (std::int64_t first = 0; first < ids.size(1); first += piece) {
            const std::int64_t count = std::min(piece, ids.size(1) - first);
            told.push_back(
                network.logits(network.advance_to_last(ids.narrow(1, first, count), all)));
            exact.push_back(expected.at("logits").narrow(1, first + count - 1, 1));
        }
        EXPECT_TRUE(is_near(at::cat(told, 1), at::cat(exact, 1), float32_tolerance)) << piece;
    }
}

TEST_P(GoldenNetwork, ContinuesGreedilyAsTheReference) {
    const at::Tensor ids = expected.at("input_ids");
    std::vector<NetworkState> states = make_states(network, ids.size(0));
    at::Tensor logits = read_in_pieces(network, ids, 64, states);
    std::vector<at::Tensor> chosen;
    for (int step = 0; step < 16; ++step) {
        chosen.push_back(logits.select(1, logits.size(1) - 1).argmax(-1).unsqueeze(1));
        logits = read_in_pieces(network, chosen.back(), 1, states);
    }
    EXPECT_TRUE(at::cat(chosen, 1).equal(expected.at("greedy")));
}

TEST_P(GoldenNetwork, ForksWithoutTouchingTheOriginal) {
    const at::Tensor ids = expected.at("input_ids").narrow(0, 0, 1);
    const at::Tensor whole = expected.at("logits").narrow(0, 0, 1);
    std::vector<NetworkState> trunk = make_states(network, 1);
    read_in_pieces(network, ids.narrow(1, 0, 90), 64, trunk);
    std::vector<NetworkState> branch{trunk.front()};
    // The branch goes astray first; the trunk must not notice.
    read_in_pieces(network, ids.narrow(1, 0, 30), 30, branch);
    std::vector<NetworkState> second{trunk.front()};
    for (std::vector<NetworkState>* states : {&trunk, &second}) {
        const at::Tensor rest = read_in_pieces(network, ids.narrow(1, 90, 60), 13, *states);
        EXPECT_TRUE(is_near(rest, whole.narrow(1, 90, 60), float32_tolerance));
    }
}

TEST_P(GoldenNetwork, RunsSequencesOfDifferentLengthsTogether) {
    const at::Tensor ids = expected.at("input_ids").narrow(0, 0, 1);
    const at::Tensor whole = expected.at("logits").narrow(0, 0, 1);
    std::vector<NetworkState> states = make_states(network, 2);
    std::vector<NetworkState> first{states[0]};
    std::vector<NetworkState> second{states[1]};
    read_in_pieces(network, ids.narrow(1, 0, 100), 100, first);
    read_in_pieces(network, ids.narrow(1, 0, 40), 40, second);
    std::vector<NetworkState> together{first.front(), second.front()};
    for (std::int64_t step = 0; step < 5; ++step) {
        const at::Tensor next =
            at::cat({ids.narrow(1, 100 + step, 1), ids.narrow(1, 40 + step, 1)}, 0);
        const at::Tensor logits = read_in_pieces(network, next, 1, together);
        const at::Tensor exact =
            at::cat({whole.narrow(1, 100 + step, 1), whole.narrow(1, 40 + step, 1)}, 0);
        EXPECT_TRUE(is_near(logits, exact, float32_tolerance)) << step;
    }
}

TEST_P(GoldenNetwork, TellsTheLastTokensOfSequencesAtDifferentPlaces) {
    const at::Tensor ids = expected.at("input_ids").narrow(0, 0, 1);
    const at::Tensor whole = expected.at("logits").narrow(0, 0, 1);
    std::vector<NetworkState> first = make_states(network, 1);
    std::vector<NetworkState> second = make_states(network, 1);
    read_in_pieces(network, ids.narrow(1, 0, 90), 90, first);
    read_in_pieces(network, ids.narrow(1, 0, 30), 30, second);
    const std::vector<NetworkState*> together{&first.front(), &second.front()};
    std::vector<at::Tensor> told;
    std::vector<at::Tensor> exact;
    constexpr std::int64_t piece = 5;
    for (std::int64_t done = 0; done < 50; done += piece) {
        const at::Tensor next =
            at::cat({ids.narrow(1, 90 + done, piece), ids.narrow(1, 30 + done, piece)}, 0);
        told.push_back(network.logits(network.advance_to_last(next, together)));
        exact.push_back(at::cat(
            {whole.narrow(1, 89 + done + piece, 1), whole.narrow(1, 29 + done + piece, 1)}, 0));
    }
    EXPECT_TRUE(is_near(at::cat(told, 1), at::cat(exact, 1), float32_tolerance));
}

/// How far logits may be from the reference in bfloat16. Rounding may send a token to another
/// expert, which tells more than the rounding itself.
double bf16_tolerance(const Network& network, double stated) {
    const bool has_experts = std::ranges::any_of(network.spec().layers, [](const LayerSpec& layer) {
        return std::holds_alternative<checkpoint::MixtureSpec>(layer.feed_forward);
    });
    return (has_experts ? 3.0 : 1.5) * stated;
}

TEST_P(GoldenNetwork, StaysWithinTheReferencesErrorInBfloat16) {
    const Network narrow = golden_network(GetParam(), {.weight_type = at::kBFloat16});
    std::vector<NetworkState> states = make_states(narrow, expected.at("input_ids").size(0));
    const at::Tensor logits = read_in_pieces(narrow, expected.at("input_ids"), 64, states);
    EXPECT_TRUE(is_near(
        logits, expected.at("logits"), bf16_tolerance(narrow, stated_bf16_error(GetParam()))));
}

TEST_P(GoldenNetwork, RunsInFloat16) {
    const Network narrow = golden_network(GetParam(), {.weight_type = at::kHalf});
    std::vector<NetworkState> states = make_states(narrow, expected.at("input_ids").size(0));
    const at::Tensor logits = read_in_pieces(narrow, expected.at("input_ids"), 64, states);
    EXPECT_TRUE(is_near(
        logits, expected.at("logits"), bf16_tolerance(narrow, stated_bf16_error(GetParam()))));
}

}  // namespace
}  // namespace anamnesis::runtime
