// SPDX-License-Identifier: Apache-2.0
#include "network_loading.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::runtime {
namespace {

/// The tensors below one name: "model.layers.3.self_attn.".
class Scope {
public:
    Scope(Weights& weights, std::string prefix) : weights_(weights), prefix_(std::move(prefix)) {}

    Scope within(const std::string& name) const { return {weights_, prefix_ + name + "."}; }

    bool has(const std::string& name) const { return weights_.has(prefix_ + name); }

    /// Of a tensor that is there.
    std::int64_t rows(const std::string& name) const { return weights_.rows(prefix_ + name); }

    at::Tensor matrix(const std::string& name, at::IntArrayRef shape) const {
        return weights_.matrix(prefix_ + name, shape);
    }
    at::Tensor vector(const std::string& name, at::IntArrayRef shape) const {
        return weights_.vector(prefix_ + name, shape);
    }

    /// With its bias, where the file has one.
    Linear linear(const std::string& name, std::int64_t outputs, std::int64_t inputs) const {
        Linear linear{.weight = matrix(name + ".weight", {outputs, inputs})};
        if (has(name + ".bias")) {
            linear.bias = vector(name + ".bias", {outputs});
        }
        return linear;
    }

    RmsNorm norm(const std::string& name,
                 std::int64_t width,
                 double eps,
                 Gain gain = Gain::plain) const {
        return {.gain = vector(name + ".weight", {width}),
                .eps = eps,
                .is_offset = gain == Gain::offset};
    }

private:
    Weights& weights_;
    std::string prefix_;
};

struct LayerInput {
    const ModelSpec& spec;
    Weights& weights;
    Scope mixer;
    std::vector<RotarySpec>& rotaries;

    std::int64_t width() const { return spec.hidden_size; }
};

std::size_t table_of(const RotarySpec& rotary, std::vector<RotarySpec>& rotaries) {
    const auto same = [&](const RotarySpec& other) {
        return other.dimensions == rotary.dimensions && other.frequencies == rotary.frequencies &&
               other.magnitude == rotary.magnitude;
    };
    const auto found = std::ranges::find_if(rotaries, same);
    const auto index = static_cast<std::size_t>(found - rotaries.begin());
    if (found == rotaries.end()) {
        rotaries.push_back(rotary);
    }
    return index;
}

Mixer load_mixer(const AttentionSpec& spec, const LayerInput& input) {
    const Scope& scope = input.mixer;
    const std::int64_t d = input.width();
    const std::int64_t head_dim = spec.heads.head_dim;
    const std::int64_t queries = spec.heads.query_heads * head_dim;
    const std::int64_t keys = spec.heads.kv_heads * head_dim;
    const std::int64_t rows = spec.gate == OutputGate::interleaved ? 2 * queries : queries;
    AttentionLayer layer{.spec = spec,
                         .q_proj = scope.linear("q_proj", rows, d),
                         .k_proj = scope.linear("k_proj", keys, d),
                         .v_proj = scope.linear("v_proj", keys, d),
                         .o_proj = scope.linear("o_proj", d, queries)};
    if (spec.gate == OutputGate::separate) {
        layer.o_gate = scope.linear("o_gate", queries, d);
    }
    if (spec.qk_norm != checkpoint::QkNorm::none) {
        const bool is_full = spec.qk_norm == checkpoint::QkNorm::full_width;
        const Gain gain =
            spec.qk_norm == checkpoint::QkNorm::per_head_plus1 ? Gain::offset : Gain::plain;
        const double eps = input.spec.norm_eps;
        layer.q_norm = scope.norm("q_norm", is_full ? queries : head_dim, eps, gain);
        layer.k_norm = scope.norm("k_norm", is_full ? keys : head_dim, eps, gain);
    }
    if (spec.rotary) {
        layer.table = table_of(*spec.rotary, input.rotaries);
    }
    return layer;
}

/// Slopes of lightning heads: 2^(-8 (h + 1) / n) for a power of two; else those of the next lower
/// power, then every second of the next higher.
/// Source: Press et al. 2022, "ALiBi"; docs/runtime.md.
std::vector<double> slopes(std::uint32_t heads) {
    const auto regular = [](std::uint32_t count) {
        std::vector<double> values;
        for (std::uint32_t h = 1; h <= count; ++h) {
            values.push_back(std::exp2(-8.0 * h / count));
        }
        return values;
    };
    const std::uint32_t lower = std::bit_floor(heads);
    std::vector<double> values = regular(lower);
    const std::vector<double> more = regular(2 * lower);
    for (std::uint32_t i = 0; values.size() < heads; i += 2) {
        values.push_back(more[i]);
    }
    return values;
}

Mixer load_mixer(const LightningSpec& spec, const LayerInput& input) {
    const Scope& scope = input.mixer;
    const std::int64_t d = input.width();
    const std::int64_t head_dim = spec.heads.head_dim;
    const std::int64_t queries = spec.heads.query_heads * head_dim;
    const std::int64_t keys = spec.heads.kv_heads * head_dim;
    const double eps = input.spec.norm_eps;
    LightningLayer layer{.spec = spec,
                         .q_proj = scope.linear("q_proj", queries, d),
                         .k_proj = scope.linear("k_proj", keys, d),
                         .v_proj = scope.linear("v_proj", keys, d),
                         .o_proj = scope.linear("o_proj", d, queries)};
    layer.log_decay = (-at::tensor(slopes(spec.heads.query_heads), at::kDouble))
                          .to(input.weights.options().device, input.weights.activation_type());
    if (spec.has_qk_norm) {
        layer.q_norm = scope.norm("q_norm", head_dim, eps);
        layer.k_norm = scope.norm("k_norm", head_dim, eps);
    }
    if (spec.has_output_norm) {
        layer.o_norm = scope.norm("o_norm", queries, eps);
    }
    if (spec.has_output_gate) {
        layer.z_proj = scope.linear("z_proj", queries, d);
    }
    if (spec.rotary) {
        layer.table = table_of(*spec.rotary, input.rotaries);
    }
    return layer;
}

/// The convolutions of q, k and v, one after the other. transformers 5.23 holds them as one tensor
/// and writes equal thirds of it under the three names, whatever the widths of q, k and v.
std::vector<at::Tensor> load_separate_kernels(const Scope& scope,
                                              std::int64_t keys,
                                              std::int64_t values,
                                              std::int64_t taps) {
    const std::int64_t third = (2 * keys + values) / 3;
    const bool is_in_thirds = scope.rows("q_conv1d.weight") == third &&
                              scope.rows("v_conv1d.weight") == third &&
                              3 * third == 2 * keys + values;
    const auto kernel = [&](const std::string& name, std::int64_t channels) {
        return scope.vector(name + ".weight", {is_in_thirds ? third : channels, 1, taps});
    };
    return {kernel("q_conv1d", keys), kernel("k_conv1d", keys), kernel("v_conv1d", values)};
}

Mixer load_mixer(const GatedDeltaSpec& spec, const LayerInput& input) {
    const Scope& scope = input.mixer;
    const std::int64_t d = input.width();
    const std::int64_t keys = std::int64_t{spec.key_heads} * spec.key_dim;
    const std::int64_t values = std::int64_t{spec.value_heads} * spec.value_dim;
    const std::int64_t heads = spec.value_heads;
    const std::int64_t taps = spec.conv_width;
    GatedDeltaLayer layer{.spec = spec};
    const auto load_kernel = [&] {
        return scope.vector("conv1d.weight", {2 * keys + values, 1, taps});
    };
    switch (spec.projections) {
        case DeltaProjections::grouped:
            layer.in_proj = {scope.linear("in_proj_qkvz", 2 * keys + 2 * values, d),
                             scope.linear("in_proj_ba", 2 * heads, d)};
            layer.kernels = {load_kernel()};
            break;
        case DeltaProjections::plain:
            layer.in_proj = {scope.linear("in_proj_qkv", 2 * keys + values, d),
                             scope.linear("in_proj_z", values, d),
                             scope.linear("in_proj_b", heads, d),
                             scope.linear("in_proj_a", heads, d)};
            layer.kernels = {load_kernel()};
            break;
        case DeltaProjections::separate:
            layer.in_proj = {scope.linear("q_proj", keys, d),
                             scope.linear("k_proj", keys, d),
                             scope.linear("v_proj", values, d),
                             scope.linear("g_proj", values, d),
                             scope.linear("b_proj", heads, d),
                             scope.linear("a_proj", heads, d)};
            layer.kernels = load_separate_kernels(scope, keys, values, taps);
            break;
    }
    const bool is_separate = spec.projections == DeltaProjections::separate;
    layer.log_rate = scope.vector("A_log", {heads});
    layer.dt_bias = scope.vector("dt_bias", {heads});
    layer.norm = scope.norm(is_separate ? "o_norm" : "norm", spec.value_dim, spec.norm_eps);
    layer.out_proj = scope.linear(is_separate ? "o_proj" : "out_proj", d, values);
    return layer;
}

Mixer load_mixer(const JetSpec& spec, const LayerInput& input) {
    const Scope& scope = input.mixer;
    const Scope generator = scope.within("dynamic_conv1d").within("kernel_generator");
    const std::int64_t d = input.width();
    const std::int64_t keys = std::int64_t{spec.heads} * spec.key_dim;
    const std::int64_t values = std::int64_t{spec.heads} * spec.value_dim;
    return JetLayer{
        .spec = spec,
        .q_proj = scope.linear("q_proj", keys, d),
        .k_proj = scope.linear("k_proj", keys, d),
        .v_proj = scope.linear("v_proj", values, d),
        .a_proj = scope.linear("a_proj", spec.heads, d),
        .b_proj = scope.linear("b_proj", spec.heads, d),
        .g_proj = scope.linear("g_proj", values, d),
        .o_proj = scope.linear("o_proj", d, values),
        .generator_in = generator.linear("w1", spec.generator_width, d),
        .generator_out = generator.linear("w2", values * spec.conv_width, spec.generator_width),
        .log_rate = scope.vector("A_log", {spec.heads}),
        .dt_bias = scope.vector("dt_bias", {spec.heads}),
        .norm = scope.norm("o_norm", spec.value_dim, spec.norm_eps)};
}

DenseMlp load_dense(const Scope& scope, std::int64_t width, std::int64_t d) {
    return {.gate_proj = scope.linear("gate_proj", width, d),
            .up_proj = scope.linear("up_proj", width, d),
            .down_proj = scope.linear("down_proj", d, width)};
}

/// Experts one by one, as written to disk, or in one tensor, as transformers 5 has them in memory.
std::vector<DenseMlp> load_experts(const MixtureSpec& spec, const Scope& scope, std::int64_t d) {
    std::vector<DenseMlp> experts;
    const std::int64_t width = spec.expert_width;
    if (!scope.has("gate_up_proj")) {
        for (std::uint32_t e = 0; e < spec.experts; ++e) {
            experts.push_back(load_dense(scope.within(format("{}", e)), width, d));
        }
        return experts;
    }
    const at::Tensor gate_up = scope.matrix("gate_up_proj", {spec.experts, 2 * width, d});
    const at::Tensor down = scope.matrix("down_proj", {spec.experts, d, width});
    for (std::int64_t e = 0; e < spec.experts; ++e) {
        const at::Tensor both = gate_up.select(0, e);
        experts.push_back({.gate_proj = {.weight = both.narrow(0, 0, width)},
                           .up_proj = {.weight = both.narrow(0, width, width)},
                           .down_proj = {.weight = down.select(0, e)}});
    }
    return experts;
}

Mlp load_mlp(const DenseSpec& spec, const Scope& scope, std::int64_t d) {
    return load_dense(scope, spec.width, d);
}

Mlp load_mlp(const MixtureSpec& spec, const Scope& scope, std::int64_t d) {
    return MixtureMlp{.spec = spec,
                      .router = scope.linear("gate", spec.experts, d),
                      .experts = load_experts(spec, scope.within("experts"), d),
                      .shared = load_dense(scope.within("shared_expert"), spec.shared_width, d),
                      .shared_gate = scope.linear("shared_expert_gate", 1, d)};
}

}  // namespace

Layer load_layer(const ModelSpec& spec,
                 std::size_t index,
                 Weights& weights,
                 std::vector<RotarySpec>& rotaries) {
    const LayerSpec& layer = spec.layers[index];
    const Scope scope(weights, format("{}layers.{}.", spec.prefix, index));
    const LayerInput input{.spec = spec,
                           .weights = weights,
                           .mixer = scope.within(layer.mixer_name),
                           .rotaries = rotaries};
    return {
        .mixer =
            std::visit([&](const auto& mixer) { return load_mixer(mixer, input); }, layer.mixer),
        .mlp = std::visit(
            [&](const auto& mlp) { return load_mlp(mlp, scope.within("mlp"), spec.hidden_size); },
            layer.mlp),
        .mixer_norm = scope.norm(layer.mixer_norm, spec.hidden_size, spec.norm_eps, spec.gain),
        .mlp_norm = scope.norm(layer.mlp_norm, spec.hidden_size, spec.norm_eps, spec.gain),
        .has_norms_behind = layer.has_norms_behind};
}

}  // namespace anamnesis::runtime
