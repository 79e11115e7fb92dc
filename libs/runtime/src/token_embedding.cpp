// SPDX-License-Identifier: Apache-2.0
#include "token_embedding.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_pass.hpp"
#include "packed_rows.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

/// Shapes: ids [B, T] -> [B, T, d].
at::Tensor look_up(const Linear& tokens, const at::Tensor& ids) {
    if (tokens.packed.is_defined()) {
        return unpack_rows(tokens.packed, ids.reshape({-1}))
            .view({ids.size(0), ids.size(1), tokens.packed.columns});
    }
    return at::embedding(tokens.weight, ids);
}

/// Shapes: -> [B or 1, T].
at::Tensor find_positions(const TokenEmbedding& embedding,
                          std::int64_t length,
                          std::span<const std::int64_t> starts,
                          std::span<const std::int64_t> boundaries) {
    if (boundaries.empty()) {
        return positions_from(starts, length, embedding.device);
    }
    std::vector<at::Tensor> texts;
    for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        texts.push_back(
            positions_from(starts, boundaries[i + 1] - boundaries[i], embedding.device));
    }
    return at::cat(texts, 1);
}

void check_room(const TokenEmbedding& embedding,
                std::int64_t length,
                std::span<const std::int64_t> starts,
                std::span<const std::int64_t> boundaries) {
    std::int64_t end = *std::ranges::max_element(starts) + length;
    if (!boundaries.empty()) {
        end = 0;
        for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
            end = std::max(end, boundaries[i + 1] - boundaries[i]);
        }
    }
    if (end > embedding.positions.size(0)) {
        throw Error(ErrorKind::exhausted,
                    format("a text of {} tokens, the model has learned {} positions",
                           end,
                           embedding.positions.size(0)));
    }
}

}  // namespace

TokenEmbedding load_embedding(PlannedWeights& weights, at::Device device) {
    const checkpoint::Blueprint& blueprint = *weights.spec().blueprint;
    const auto make_place = [](std::string_view of) {
        return TensorPlace{std::nullopt, std::string(of)};
    };
    TokenEmbedding embedding{.tokens = weights.take_product(make_place(role::embedding)),
                             .scale = blueprint.embedding_scale,
                             .device = device,
                             .type = weights.weights().activation_type()};
    if (blueprint.find(std::nullopt, role::positions) != nullptr) {
        embedding.positions = weights.take(make_place(role::positions));
    }
    if (blueprint.find(std::nullopt, role::embedding_norm) != nullptr) {
        embedding.norm = weights.take_stream_norm(make_place(role::embedding_norm));
    }
    return embedding;
}

at::Tensor embed(const TokenEmbedding& embedding,
                 const at::Tensor& ids,
                 std::span<const std::int64_t> starts,
                 std::span<const std::int64_t> boundaries) {
    at::Tensor x = scaled(look_up(embedding.tokens, ids.to(embedding.device)).to(embedding.type),
                          embedding.scale);
    if (embedding.positions.defined()) {
        const std::int64_t length = ids.size(1);
        check_room(embedding, length, starts, boundaries);
        x = x + at::embedding(embedding.positions,
                              find_positions(embedding, length, starts, boundaries))
                    .to(embedding.type);
    }
    return embedding.norm ? normalise(*embedding.norm, x) : x;
}

}  // namespace anamnesis::runtime
