// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

/// Specs of mixers and feed-forwards from the config keys that several families share.
namespace anamnesis::checkpoint {

/// Errors: `malformed` for 0, naming the key.
std::uint32_t check_size(std::uint32_t value, std::string_view key);
std::uint32_t read_size(const ConfigReader& config, std::string_view key, std::uint32_t fallback);

/// `sliding_window` or `window_size`.
std::optional<std::uint32_t> read_window(const ConfigReader& config);

/// The blueprint's rotary encoding; absent where it has none.
std::optional<RotarySettings> make_rotary_settings(const Blueprint& blueprint);

/// Softmax attention with the blueprint's heads, rotary encoding, QK-norm and scale.
AttentionSpec make_attention(const Blueprint& blueprint);

/// The activation that the config key names. Errors: `unsupported` for one that does not run.
Activation read_activation(const ConfigReader& config,
                           std::string_view key = "hidden_act",
                           Activation fallback = Activation::silu);

/// A softcap: null denies it, and a library fills in what is left out.
/// Errors: `malformed` for one that is not above 0.
std::optional<double> read_softcap(const ConfigReader& config,
                                   std::string_view key,
                                   double fallback);

/// For families whose mixers take the activation of this key, and run with SiLU alone.
/// Errors: `unsupported` for another.
void expect_silu_in_mixers(const ConfigReader& config, std::string_view key = "hidden_act");

/// SwiGLU with `intermediate_size` and `hidden_act`.
DenseSpec read_dense(const ConfigReader& config, std::uint32_t default_width);

/// `num_experts` or its other names. Errors: `malformed` for 0.
std::uint32_t read_expert_count(const ConfigReader& config, std::uint32_t fallback);

/// `num_experts_per_tok` or its other names.
/// Errors: `malformed` for 0, and for more than there are experts.
std::uint32_t read_experts_per_token(const ConfigReader& config,
                                     std::uint32_t experts,
                                     std::uint32_t fallback);

/// Groups of experts that a library fills in.
struct GroupDefaults {
    std::uint32_t groups = 1;
    std::uint32_t kept_groups = 1;
};
/// Sigmoid scores with a stored correction, in groups where the config says so (DeepSeek-V3).
/// Errors: `malformed` for groups that do not divide the experts.
RouterSpec read_corrected_router(const ConfigReader& config,
                                 std::uint32_t experts,
                                 const GroupDefaults& defaults = {});
/// Errors: `malformed` for groups that do not divide the experts.
void check_groups(const RouterSpec& router, std::uint32_t experts);

/// What the library of Qwen's mixtures fills in.
struct QwenMixtureDefaults {
    std::uint32_t experts = 0;
    std::uint32_t experts_per_token = 0;
    std::uint32_t width = 0;
    std::uint32_t shared_width = 0;  ///< 0: no shared expert
    std::uint32_t dense_width = 0;   ///< of layers without experts
    bool is_renormalised = true;
};
/// Qwen2-MoE, Qwen3-MoE, Qwen3-Next, Qwen3.5.
MixtureSpec read_qwen_mixture(const ConfigReader& config, const QwenMixtureDefaults& defaults);
/// The same for one layer: dense where the config says so.
FeedForwardSpec read_qwen_feed_forward(const ConfigReader& config,
                                       std::uint32_t layer,
                                       const QwenMixtureDefaults& defaults);
GatedDeltaSpec read_gated_delta(const ConfigReader& config, DeltaProjections projections);

}  // namespace anamnesis::checkpoint
