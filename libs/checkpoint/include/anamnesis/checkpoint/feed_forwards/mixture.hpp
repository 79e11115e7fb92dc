// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/feed_forwards/dense.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view router = "router";
inline constexpr std::string_view router_correction = "router_correction";
inline constexpr std::string_view shared_gate = "shared.gate";
inline constexpr std::string_view shared_up = "shared.up";
inline constexpr std::string_view shared_gate_up = "shared.gate_up";
inline constexpr std::string_view shared_down = "shared.down";
inline constexpr std::string_view shared_weight = "shared_weight";
inline constexpr std::string_view experts_gate_up = "experts.gate_up";  ///< all in one tensor
inline constexpr std::string_view experts_up = "experts.up";            ///< the same without gates
inline constexpr std::string_view experts_down = "experts.down";
inline constexpr std::string_view latent_input = "latent.input";
inline constexpr std::string_view latent_output = "latent.output";

/// `part` of one expert: "expert.3.gate".
inline std::string expert(std::uint32_t index, std::string_view part) {
    return format("expert.{}.{}", index, part);
}

/// Of a stack in blocks of FP4.
inline std::string to_blocks_role(std::string_view stack) {
    return std::string(stack) + ".blocks";
}
inline std::string to_scales_role(std::string_view stack) {
    return std::string(stack) + ".scales";
}

}  // namespace role

/// Which experts a token takes, and how much of each.
struct RouterSpec {
    enum class Scores : std::uint8_t {
        softmax,         ///< over all experts
        chosen_softmax,  ///< over the logits of those chosen (Granite, gpt-oss)
        sigmoid,         ///< of each logit by itself
    };
    Scores scores = Scores::softmax;
    /// True where a stored correction is added to the scores that choose, and not to the weights.
    bool is_corrected = false;
    /// Neighbouring experts form a group; a group's score is the sum of its `ranked_experts` best,
    /// and only experts of the best `kept_groups` may be chosen.
    std::uint32_t groups = 1;
    std::uint32_t kept_groups = 1;
    std::uint32_t ranked_experts = 2;
    bool is_renormalised = true;   ///< the chosen experts' weights sum to one
    double renormalisation = 0.0;  ///< added to the sum that divides them
    double scale = 1.0;            ///< of the weights
};

/// How the experts of a layer lie on disk.
enum class ExpertLayout : std::uint8_t {
    /// One by one, as written; or, read as well, in two stacks [experts, outputs, inputs].
    separate,
    stacked,  ///< in two stacks alone (Granite)
    /// In two stacks [experts, inputs, outputs] with biases, gates and ups in turn; or, read as
    /// well, in blocks of FP4 (gpt-oss).
    transposed,
};

/// What the matrices of one expert are called: "experts.3.gate_proj".
struct ExpertNames {
    std::string_view gate = "gate_proj";
    std::string_view up = "up_proj";
    std::string_view down = "down_proj";
};

/// An expert that every token takes.
struct SharedExpertSpec {
    DenseSpec dense{};
    bool is_weighted = false;  ///< times the sigmoid of a product of its own (Qwen3-Next)
};

/// Experts after a router.
/// Source: transformers 5.23, modeling_qwen3_next.py, modeling_nemotron_h.py, modeling_gpt_oss.py.
struct MixtureSpec {
    std::uint32_t experts = 0;
    std::uint32_t experts_per_token = 0;
    DenseSpec expert{};
    RouterSpec router{};
    std::optional<SharedExpertSpec> shared{};
    ExpertLayout layout = ExpertLayout::separate;
    /// Experts compute in this width, between two matrices that all share; 0: in the stream's.
    std::uint32_t latent_width = 0;
    ExpertNames names{};
};

void list_tensors(const MixtureSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
