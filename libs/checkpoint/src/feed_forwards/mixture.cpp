// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

using Matrix = LayerTensors::Matrix;
using Stack = LayerTensors::Stack;
using Vector = LayerTensors::Vector;

/// What an expert reads and writes.
std::uint64_t find_stream(const MixtureSpec& spec, const LayerTensors& tensors) {
    return spec.latent_width == 0 ? tensors.hidden_size() : spec.latent_width;
}

void add_separate_experts(const MixtureSpec& spec, LayerTensors& tensors) {
    const std::uint64_t stream = find_stream(spec, tensors);
    const std::uint64_t width = spec.expert.width;
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
        if (spec.expert.is_gated) {
            add(role::gate, spec.names.gate, width, stream, Initial::matrix);
        }
        add(role::up, spec.names.up, width, stream, Initial::matrix);
        add(role::down, spec.names.down, stream, width, Initial::stream_matrix);
    }
}

/// [experts, outputs, inputs].
void add_stacks(const MixtureSpec& spec, LayerTensors& tensors, Storage storage) {
    const std::uint64_t stream = find_stream(spec, tensors);
    const std::uint64_t width = spec.expert.width;
    if (spec.expert.is_gated) {
        tensors.add(Stack{.role = role::experts_gate_up,
                          .name = "experts.gate_up_proj",
                          .shape = {spec.experts, 2 * width, stream},
                          .storage = storage});
    } else {
        tensors.add(Stack{.role = role::experts_up,
                          .name = "experts.up_proj",
                          .shape = {spec.experts, width, stream},
                          .storage = storage});
    }
    tensors.add(Stack{.role = role::experts_down,
                      .name = "experts.down_proj",
                      .shape = {spec.experts, stream, width},
                      .initial = Initial::stream_matrix,
                      .storage = storage});
}

/// [experts, inputs, outputs] with biases; and the same in blocks of 32 inputs in FP4 (MXFP4): each
/// 16 bytes, and a scale, for a row of outputs.
void add_transposed_stacks(const MixtureSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t width = spec.expert.width;
    const auto add = [&](std::string_view role,
                         const std::string& name,
                         std::uint64_t inputs,
                         std::uint64_t outputs,
                         Initial initial) {
        const std::string bias_role = role::to_bias_role(role);
        const std::string bias_name = name + "_bias";
        const std::string blocks_name = name + "_blocks";
        const std::string scales_name = name + "_scales";
        tensors.add(Stack{.role = role,
                          .name = name,
                          .shape = {spec.experts, inputs, outputs},
                          .initial = initial,
                          .storage = Storage::separate});
        tensors.add(Vector{.role = bias_role,
                           .name = bias_name,
                           .shape = {spec.experts, outputs},
                           .initial = Initial::zeros});
        tensors.add(Stack{.role = role::to_blocks_role(role),
                          .name = blocks_name,
                          .shape = {spec.experts, outputs, inputs / 32, 16}});
        tensors.add(Stack{.role = role::to_scales_role(role),
                          .name = scales_name,
                          .shape = {spec.experts, outputs, inputs / 32}});
    };
    add(role::experts_gate_up, "experts.gate_up_proj", hidden, 2 * width, Initial::matrix);
    add(role::experts_down, "experts.down_proj", width, hidden, Initial::stream_matrix);
}

void add_experts(const MixtureSpec& spec, LayerTensors& tensors) {
    switch (spec.layout) {
        case ExpertLayout::separate:
            add_separate_experts(spec, tensors);
            add_stacks(spec, tensors, Storage::stacked);
            return;
        case ExpertLayout::stacked:
            add_stacks(spec, tensors, Storage::only);
            return;
        case ExpertLayout::transposed:
            add_transposed_stacks(spec, tensors);
            return;
    }
}

void add_shared_expert(const SharedExpertSpec& shared, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t width = shared.dense.width;
    const auto add = [&](std::string_view role, std::string_view name, std::uint64_t outputs) {
        tensors.add(Matrix{.role = role, .name = name, .outputs = outputs, .inputs = hidden});
    };
    if (shared.dense.is_gated && shared.dense.is_fused) {
        add(role::shared_gate_up, "shared_expert.gate_up_proj", 2 * width);
    } else {
        if (shared.dense.is_gated) {
            add(role::shared_gate, "shared_expert.gate_proj", width);
        }
        add(role::shared_up, "shared_expert.up_proj", width);
    }
    tensors.add(Matrix{.role = role::shared_down,
                       .name = "shared_expert.down_proj",
                       .outputs = hidden,
                       .inputs = width,
                       .initial = Initial::stream_matrix});
    if (shared.is_weighted) {
        add(role::shared_weight, "shared_expert_gate", 1);
    }
}

}  // namespace

void list_tensors(const MixtureSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    tensors.add(
        Matrix{.role = role::router, .name = "gate", .outputs = spec.experts, .inputs = hidden});
    if (spec.router.is_corrected) {
        tensors.add(Vector{.role = role::router_correction,
                           .name = "gate.e_score_correction_bias",
                           .shape = {spec.experts},
                           .initial = Initial::zeros});
    }
    if (spec.latent_width != 0) {
        tensors.add(Matrix{.role = role::latent_input,
                           .name = "fc1_latent_proj",
                           .outputs = spec.latent_width,
                           .inputs = hidden});
        tensors.add(Matrix{.role = role::latent_output,
                           .name = "fc2_latent_proj",
                           .outputs = hidden,
                           .inputs = spec.latent_width,
                           .initial = Initial::stream_matrix});
    }
    add_experts(spec, tensors);
    if (spec.shared) {
        add_shared_expert(*spec.shared, tensors);
    }
}

}  // namespace anamnesis::checkpoint
