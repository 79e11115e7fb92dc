// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/gated_delta.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

using Matrix = LayerTensors::Matrix;
using Vector = LayerTensors::Vector;

struct Widths {
    std::uint64_t hidden = 0;
    std::uint64_t keys = 0;
    std::uint64_t values = 0;
    std::uint64_t heads = 0;
    std::uint64_t taps = 0;
};

void add_matrix(LayerTensors& tensors,
                std::string_view role,
                std::string_view name,
                std::uint64_t outputs) {
    tensors.add(
        Matrix{.role = role, .name = name, .outputs = outputs, .inputs = tensors.hidden_size()});
}

void add_joint_kernel(LayerTensors& tensors, const Widths& widths) {
    tensors.add(Vector{.role = role::kernel,
                       .name = "conv1d.weight",
                       .shape = {2 * widths.keys + widths.values, 1, widths.taps},
                       .initial = Initial::kernel});
}

/// The convolutions of q, k and v. transformers 5.23 holds them as one tensor and writes equal
/// thirds of it under the three names, whatever the widths of q, k and v; the last third is what is
/// left.
void add_separate_kernels(LayerTensors& tensors, const Widths& widths) {
    const std::uint64_t all = 2 * widths.keys + widths.values;
    const std::uint64_t third = (all + 2) / 3;
    const auto add = [&](std::string_view role,
                         std::string_view name,
                         std::uint64_t channels,
                         std::uint64_t part) {
        tensors.add(Vector{.role = role,
                           .name = name,
                           .shape = {channels, 1, widths.taps},
                           .initial = Initial::kernel,
                           .other_shapes = {Shape{part, 1, widths.taps}}});
    };
    add(role::query_kernel, "q_conv1d.weight", widths.keys, third);
    add(role::key_kernel, "k_conv1d.weight", widths.keys, third);
    add(role::value_kernel, "v_conv1d.weight", widths.values, all - 2 * third);
}

void add_projections(const GatedDeltaSpec& spec, LayerTensors& tensors, const Widths& widths) {
    const auto& [hidden, keys, values, heads, taps] = widths;
    switch (spec.projections) {
        case DeltaProjections::grouped:
            add_matrix(tensors, role::query_key_value_gate, "in_proj_qkvz", 2 * keys + 2 * values);
            add_matrix(tensors, role::rate_and_step, "in_proj_ba", 2 * heads);
            add_joint_kernel(tensors, widths);
            break;
        case DeltaProjections::plain:
            add_matrix(tensors, role::query_key_value, "in_proj_qkv", 2 * keys + values);
            add_matrix(tensors, role::output_gate, "in_proj_z", values);
            add_matrix(tensors, role::learning_rate, "in_proj_b", heads);
            add_matrix(tensors, role::step, "in_proj_a", heads);
            add_joint_kernel(tensors, widths);
            break;
        case DeltaProjections::separate:
            add_matrix(tensors, role::query, "q_proj", keys);
            add_matrix(tensors, role::key, "k_proj", keys);
            add_matrix(tensors, role::value, "v_proj", values);
            add_matrix(tensors, role::output_gate, "g_proj", values);
            add_matrix(tensors, role::learning_rate, "b_proj", heads);
            add_matrix(tensors, role::step, "a_proj", heads);
            add_separate_kernels(tensors, widths);
            break;
    }
}

}  // namespace

void list_tensors(const GatedDeltaSpec& spec, LayerTensors& tensors) {
    const Widths widths{.hidden = tensors.hidden_size(),
                        .keys = std::uint64_t{spec.key_heads} * spec.key_dim,
                        .values = std::uint64_t{spec.value_heads} * spec.value_dim,
                        .heads = spec.value_heads,
                        .taps = spec.conv_width};
    add_projections(spec, tensors, widths);
    const bool is_separate = spec.projections == DeltaProjections::separate;
    tensors.add(Vector{.role = role::log_rate,
                       .name = "A_log",
                       .shape = {widths.heads},
                       .initial = Initial::log_rate});
    tensors.add(Vector{.role = role::step_bias,
                       .name = "dt_bias",
                       .shape = {widths.heads},
                       .initial = is_separate ? Initial::step_bias : Initial::ones});
    tensors.add(Vector{.role = role::output_norm,
                       .name = is_separate ? "o_norm.weight" : "norm.weight",
                       .shape = {spec.value_dim}});
    tensors.add(Matrix{.role = role::output,
                       .name = is_separate ? "o_proj" : "out_proj",
                       .outputs = widths.hidden,
                       .inputs = widths.values,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
