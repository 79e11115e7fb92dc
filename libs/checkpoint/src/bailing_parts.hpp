// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "latent_parts.hpp"
#include "layer_plan.hpp"

/// What models of Ling and Ring have in common.
namespace anamnesis::checkpoint {

/// Errors: `unsupported` for the first of the keys that is set to true.
void refuse_flags(const ConfigReader& config, std::initializer_list<std::string_view> keys);
/// The same for a key that is set to false.
void refuse_denied(const ConfigReader& config, std::initializer_list<std::string_view> keys);
/// Errors: `unsupported` where the key is there and says something else.
void expect_word(const ConfigReader& config, std::string_view key, std::string_view expected);

/// What is the same in all of them: no biases, sigmoid scores.
void refuse_other_ling(const ConfigReader& config);
/// Errors: `unsupported` for what servers and the authors' own code read differently, or not at
/// all, in Ling and Ring 2.0 and 2.5.
void refuse_other_ling_2(const ConfigReader& config);

/// What the library of a model of Ling fills in.
struct LingDefaults {
    LatentMixtureDefaults experts{};
    std::uint32_t groups = 1;
    std::uint32_t kept_groups = 1;
    double scale = 1.0;
    std::uint32_t dense_width = 0;
    std::uint32_t dense_layers = 0;  ///< at the beginning
};
MixtureSpec read_ling_experts(const ConfigReader& config, const LingDefaults& defaults);

/// What a library fills in for lightning layers.
struct LightningDefaults {
    bool has_qk_norm = false;
    std::uint32_t norm_groups = 1;
};
/// Lightning attention of one layer of Ling and Ring 2.0 and 2.5, with the blueprint's rotary
/// encoding.
/// Source: inclusionAI/Ring-V2.5 ae5a5d9, modeling_bailing_moe_v2_5.py,
/// BailingMoeV2_5LinearAttention.
LightningSpec make_ling_lightning(const ConfigReader& config,
                                  const Blueprint& blueprint,
                                  const HeadLayout& heads,
                                  LayerIndex layer,
                                  const LightningDefaults& defaults = {});

/// Lists a body whose layers have `make_mixer`'s mixers.
void plan_ling_body(Blueprint& blueprint,
                    const ConfigReader& config,
                    const LingDefaults& defaults,
                    const std::function<MixerSpec(const Layer&)>& make_mixer);

}  // namespace anamnesis::checkpoint
