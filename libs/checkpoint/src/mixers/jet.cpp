// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/jet.hpp"

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/mixers/gated_delta.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const JetSpec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    using Vector = LayerTensors::Vector;
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t keys = std::uint64_t{spec.heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.heads} * spec.value_dim;
    const auto add = [&](std::string_view role, std::string_view name, std::uint64_t outputs) {
        tensors.add(Matrix{.role = role, .name = name, .outputs = outputs, .inputs = hidden});
    };
    add(role::query, "q_proj", keys);
    add(role::key, "k_proj", keys);
    add(role::value, "v_proj", values);
    add(role::step, "a_proj", spec.heads);
    add(role::learning_rate, "b_proj", spec.heads);
    add(role::output_gate, "g_proj", values);
    tensors.add(Matrix{.role = role::output,
                       .name = "o_proj",
                       .outputs = hidden,
                       .inputs = values,
                       .initial = Initial::stream_matrix});
    add(role::generator_input, "dynamic_conv1d.kernel_generator.w1", spec.generator_width);
    // The bias is a kernel that depends on no input.
    tensors.add(Matrix{.role = role::generator_output,
                       .name = "dynamic_conv1d.kernel_generator.w2",
                       .outputs = values * spec.conv_width,
                       .inputs = spec.generator_width,
                       .bias = Presence::required});
    tensors.add(Vector{.role = role::log_rate,
                       .name = "A_log",
                       .shape = {spec.heads},
                       .initial = Initial::log_rate});
    tensors.add(Vector{.role = role::step_bias,
                       .name = "dt_bias",
                       .shape = {spec.heads},
                       .initial = Initial::step_bias});
    tensors.add(
        Vector{.role = role::output_norm, .name = "o_norm.weight", .shape = {spec.value_dim}});
}

}  // namespace anamnesis::checkpoint
