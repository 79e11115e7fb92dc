// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/rotary_settings.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

/// HypeNet's factor on the query at position p: ln(p + offset) / ln(offset), or a constant.
struct LengthScaling {
    std::optional<double> constant{};
    std::uint64_t offset = 0;
};

/// The length scaling that a word means: "none", a number, "hype" or "hype A".
/// Errors: `malformed`, naming the word.
std::optional<LengthScaling> parse_length_scaling(std::string_view word);

enum class OutputGate : std::uint8_t {
    none,
    separate,     ///< a projection of its own, `o_gate` (HypeNet)
    interleaved,  ///< rows of q_proj: head by head, query then gate (Qwen3-Next, Qwen3.5)
    per_head,     ///< one value for each head, `gate_proj` (LFM3)
};

/// Softmax attention with grouped queries.
struct AttentionSpec {
    HeadLayout heads{};
    std::optional<RotarySettings> rotary{};
    QkNorm qk_norm = QkNorm::none;
    OutputGate gate = OutputGate::none;
    std::optional<std::uint32_t> window{};  ///< keys a query sees, itself included
    std::optional<LengthScaling> scaling{};
    std::optional<double> logit_scale{};  ///< of q k^T; absent: head_dim^-0.5
    std::optional<double> softcap{};      ///< c: a logit is c tanh(logit / c) (Gemma 2)
    /// Of the slopes of ALiBi: a logit loses slope * factor for each token of distance (BLOOM).
    /// Source: Press et al. 2022, "ALiBi".
    std::optional<double> alibi_factor{};
    double key_scale = 1.0;            ///< of keys before they turn (Falcon-H1)
    bool has_sinks = false;            ///< a logit for each head that takes weight (gpt-oss)
    std::optional<RowLayout> fused{};  ///< how rows lie where one matrix makes q, k and v
};

/// Lists what softmax attention stores: rows of queries, keys and values as the blueprint's rules
/// have them, `o_proj`, gains, and `o_gate` or `gate_proj` where the gate is a matrix of its own.
void list_tensors(const AttentionSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
