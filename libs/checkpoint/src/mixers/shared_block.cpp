// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/shared_block.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

using Matrix = LayerTensors::Matrix;
using Vector = LayerTensors::Vector;

constexpr std::string_view attention_module = "shared_transformer.self_attn";
constexpr std::string_view feed_forward_module = "shared_transformer.feed_forward";

/// The two matrices of an adapter, named as in the layer that stores them.
struct AdapterPlace {
    std::string_view role;  ///< of the matrix that it adds to
    std::string_view list;  ///< "gate_up_proj_adapter_list"
    std::uint64_t outputs = 0;
    std::uint64_t inputs = 0;
};

/// The user's adapter in the home of its block, or a copy of its own.
void add_adapter(const SharedBlockSpec& spec,
                 const AdapterPlace& place,
                 LayerTensors& tensors,
                 bool is_own) {
    const std::string input = role::to_adapter_input_role(place.role);
    const std::string output = role::to_adapter_output_role(place.role);
    const auto add = [&](const std::string& shared,
                         std::uint32_t number,
                         std::uint64_t outputs,
                         std::uint64_t inputs,
                         Initial initial) {
        const std::string role = is_own ? role::to_own_role(shared) : shared;
        const std::string name = format("{}.{}.{}", place.list, spec.user, number);
        tensors.add(Matrix{.role = role,
                           .name = name,
                           .outputs = outputs,
                           .inputs = inputs,
                           .bias = Presence::absent,
                           .initial = initial});
    };
    add(input, 0, spec.adapter_rank, place.inputs, Initial::matrix);
    add(output, 1, place.outputs, spec.adapter_rank, Initial::zeros);
}

/// Copies of the adapters of queries, keys and values. Those that layers share are among the rules
/// of softmax attention.
void add_own_attention_adapters(const SharedBlockSpec& spec, LayerTensors& tensors) {
    const Module module{.name = attention_module};
    LayerTensors own = tensors.in_module(module, TensorGroup::other);
    own.make_optional();
    const HeadLayout& heads = spec.attention.heads;
    for (const auto& [role, list, count] :
         {std::tuple{role::query, "linear_q_adapter_list", heads.query_heads},
          std::tuple{role::key, "linear_k_adapter_list", heads.kv_heads},
          std::tuple{role::value, "linear_v_adapter_list", heads.kv_heads}}) {
        add_adapter(spec,
                    {.role = role,
                     .list = list,
                     .outputs = std::uint64_t{count} * heads.head_dim,
                     .inputs = 2 * tensors.hidden_size()},
                    own,
                    /*is_own=*/true);
    }
}

void add_feed_forward_adapters(const SharedBlockSpec& spec, LayerTensors& tensors) {
    const AdapterPlace place{.role = role::gate_up,
                             .list = "gate_up_proj_adapter_list",
                             .outputs = 2 * std::uint64_t{spec.feed_forward.width},
                             .inputs = tensors.hidden_size()};
    const Module module{.name = feed_forward_module};
    LayerTensors shared = tensors.in_module(module, TensorGroup::mlp);
    shared.set_home(spec.home);
    add_adapter(spec, place, shared, /*is_own=*/false);
    if (spec.home != tensors.layer()) {
        LayerTensors own = tensors.in_module(module, TensorGroup::mlp);
        own.make_optional();
        add_adapter(spec, place, own, /*is_own=*/true);
    }
}

/// What layers share: in the layer that stores it required, elsewhere copies that there may be.
void add_block(const SharedBlockSpec& spec, LayerTensors& tensors) {
    const Module module{.name = "shared_transformer"};
    LayerTensors block = tensors.in_module(module, TensorGroup::norms);
    if (spec.home != tensors.layer()) {
        block.make_optional();
    }
    const std::uint64_t hidden = tensors.hidden_size();
    block.add(
        Vector{.role = role::block_norm, .name = "input_layernorm.weight", .shape = {2 * hidden}});
    const Module attention{.name = attention_module};
    LayerTensors of_attention = block.in_module(attention, TensorGroup::mixer);
    list_tensors(spec.attention, of_attention);
    block.add(Vector{.role = role::block_feed_forward_norm,
                     .name = "pre_ff_layernorm.weight",
                     .shape = {hidden}});
    const Module feed_forward{.name = feed_forward_module};
    LayerTensors of_feed_forward = block.in_module(feed_forward, TensorGroup::mlp);
    list_tensors(spec.feed_forward, of_feed_forward);
}

}  // namespace

void list_tensors(const SharedBlockSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    add_block(spec, tensors);
    if (spec.adapter_rank != 0) {
        add_feed_forward_adapters(spec, tensors);
        if (spec.adapts_attention && spec.home != tensors.layer()) {
            add_own_attention_adapters(spec, tensors);
        }
    }
    const Module layer{.name = ""};
    LayerTensors outer = tensors.in_module(layer, TensorGroup::other);
    outer.add(Matrix{.role = role::block_output,
                     .name = "linear",
                     .outputs = hidden,
                     .inputs = hidden,
                     .bias = Presence::absent});
    outer.set_group(TensorGroup::norms);
    outer.add(Vector{.role = role::mamba_norm,
                     .name = "mamba_decoder.input_layernorm.weight",
                     .shape = {hidden}});
    const Module decoder{.name = "mamba_decoder.mamba"};
    LayerTensors mamba = tensors.in_module(decoder, TensorGroup::mixer);
    mamba.set_role_prefix(role::mamba_prefix);
    list_tensors(spec.mamba, mamba);
}

}  // namespace anamnesis::checkpoint
