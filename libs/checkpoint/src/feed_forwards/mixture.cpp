// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

using Matrix = LayerTensors::Matrix;

void add_experts(const MixtureSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t width = spec.expert_width;
    for (std::uint32_t e = 0; e < spec.experts; ++e) {
        const auto add = [&](std::string_view part,
                             std::string_view name,
                             std::uint64_t outputs,
                             std::uint64_t inputs,
                             Initial initial) {
            const std::string role = role::expert(e, part);
            const std::string whole = format("experts.{}.{}", e, name);
            tensors.add(Matrix{.role = role,
                               .name = whole,
                               .outputs = outputs,
                               .inputs = inputs,
                               .bias = Presence::absent,
                               .initial = initial,
                               .storage = Storage::separate});
        };
        add(role::gate, "gate_proj", width, hidden, Initial::matrix);
        add(role::up, "up_proj", width, hidden, Initial::matrix);
        add(role::down, "down_proj", hidden, width, Initial::stream_matrix);
    }
    using Stack = LayerTensors::Stack;
    tensors.add(Stack{.role = role::experts_gate_up,
                      .name = "experts.gate_up_proj",
                      .shape = {spec.experts, 2 * width, hidden}});
    tensors.add(Stack{.role = role::experts_down,
                      .name = "experts.down_proj",
                      .shape = {spec.experts, hidden, width}});
}

}  // namespace

void list_tensors(const MixtureSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t width = spec.shared_width;
    const auto add = [&](std::string_view role,
                         std::string_view name,
                         std::uint64_t outputs,
                         std::uint64_t inputs,
                         Initial initial = Initial::matrix) {
        tensors.add(Matrix{
            .role = role, .name = name, .outputs = outputs, .inputs = inputs, .initial = initial});
    };
    add(role::router, "gate", spec.experts, hidden);
    add_experts(spec, tensors);
    add(role::shared_gate, "shared_expert.gate_proj", width, hidden);
    add(role::shared_up, "shared_expert.up_proj", width, hidden);
    add(role::shared_down, "shared_expert.down_proj", hidden, width, Initial::stream_matrix);
    add(role::shared_weight, "shared_expert_gate", 1, hidden);
}

}  // namespace anamnesis::checkpoint
