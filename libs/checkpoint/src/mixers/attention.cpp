// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/attention.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

std::optional<LengthScaling> parse_length_scaling(std::string_view word) {
    if (word == "none") {
        return std::nullopt;
    }
    if (word == "hype") {
        return LengthScaling{.offset = 362};
    }
    const auto parse = [&](std::string_view text, auto& number) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        return error == std::errc{} && end == text.data() + text.size();
    };
    if (word.starts_with("hype ")) {
        std::uint32_t offset = 0;
        if (parse(word.substr(5), offset) && offset >= 2) {
            return LengthScaling{.offset = offset};
        }
    } else if (double constant = 0.0; parse(word, constant) && std::isfinite(constant)) {
        return LengthScaling{.constant = constant};
    }
    throw Error(ErrorKind::malformed,
                format("attn_logits_scaling is {}, expected none, a number, \"hype\" or \"hype A\" "
                       "with a whole A of at least 2",
                       in_quotes(word)));
}

void list_tensors(const AttentionSpec& spec, LayerTensors& tensors) {
    const std::uint64_t queries = std::uint64_t{spec.heads.query_heads} * spec.heads.head_dim;
    const std::uint64_t hidden = tensors.hidden_size();
    tensors.add_softmax_projections();
    tensors.set_group(TensorGroup::o);
    tensors.add(LayerTensors::Matrix{.role = role::output,
                                     .name = "o_proj",
                                     .outputs = hidden,
                                     .inputs = queries,
                                     .initial = Initial::stream_matrix});
    tensors.add_softmax_norms();
    if (spec.has_sinks) {
        tensors.set_group(TensorGroup::other);
        tensors.add(LayerTensors::Vector{.role = role::sinks,
                                         .name = "sinks",
                                         .shape = {spec.heads.query_heads},
                                         .initial = Initial::zeros});
    }
    if (spec.gate == OutputGate::separate) {
        tensors.set_group(TensorGroup::gate);
        tensors.add(LayerTensors::Matrix{
            .role = role::output_gate, .name = "o_gate", .outputs = queries, .inputs = hidden});
    } else if (spec.gate == OutputGate::per_head) {
        tensors.set_group(TensorGroup::gate);
        tensors.add(LayerTensors::Matrix{.role = role::output_gate,
                                         .name = "gate_proj",
                                         .outputs = spec.heads.query_heads,
                                         .inputs = hidden});
    }
}

}  // namespace anamnesis::checkpoint
