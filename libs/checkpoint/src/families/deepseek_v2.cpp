// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "latent_parts.hpp"
#include "layer_kinds.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_latent_layers(const ConfigReader& config) {
    return make_uniform_layers(read_layer_count(config), LayerKind::mla);
}

/// Softmax scores, which are the weights as well. Where choices are limited to groups, the best
/// expert of a group makes its score.
/// Source: transformers 5.23, modeling_deepseek_v2.py, DeepseekV2TopkRouter.
RouterSpec read_router(const ConfigReader& config, std::uint32_t experts) {
    RouterSpec router{.is_renormalised = false,
                      .scale = config.find_number("routed_scaling_factor").value_or(1.0)};
    const std::string method = config.find_word("topk_method").value_or("greedy");
    if (config.flag("norm_topk_prob", false)) {
        throw Error(ErrorKind::unsupported, "DeepSeek-V2 with 'norm_topk_prob' does not run here");
    }
    if (method == "greedy") {
        return router;
    }
    if (method != "group_limited_greedy") {
        throw Error(ErrorKind::unsupported,
                    format("'topk_method' is {}, which does not run here; greedy and "
                           "group_limited_greedy do",
                           in_quotes(method)));
    }
    router.groups = read_size(config, "n_group", 1);
    router.kept_groups = read_size(config, "topk_group", 1);
    router.ranked_experts = 1;
    check_groups(router, experts);
    return router;
}

void plan_deepseek_v2_layers(Blueprint& blueprint, const ConfigReader& config) {
    MixtureSpec experts = read_latent_mixture(
        config, {.experts = 64, .experts_per_token = 6, .width = 1407, .shared = 2});
    experts.router = read_router(config, experts.experts);
    plan_deepseek_body(
        blueprint, config, {.experts = experts, .default_width = 11'008, .default_dense = 0});
}

}  // namespace

namespace families {

Family deepseek_v2() {
    return {.name = "deepseek_v2",
            .model_types = {"deepseek_v2"},
            .evidence = from_memory,
            .read_layers = read_latent_layers,
            .plan_attention = plan_deepseek_attention,
            .plan_layers = plan_deepseek_v2_layers,
            .defaults = {.context_length = 2048}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
