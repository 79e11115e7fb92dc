// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Kimi's own list counts layers from 1; transformers 5 writes `layer_types` instead; with neither,
/// every fourth layer but the first.
std::vector<Layer> read_kimi_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    const std::uint32_t count = read_layer_count(config);
    const Json* linear = config.find("linear_attn_config");
    const Json* full = linear == nullptr ? nullptr : linear->find("full_attn_layers");
    if (full == nullptr || full->is_null()) {
        return make_layers(count, [](std::uint32_t layer) {
            return Kinds{layer > 0 && layer % 4 == 0 ? LayerKind::mla : LayerKind::linear};
        });
    }
    auto layers = make_uniform_layers(count, LayerKind::linear);
    for (const Json& element : full->as_array("full_attn_layers")) {
        const std::uint32_t number = count_from(element, "full_attn_layers");
        if (number == 0 || number > count) {
            throw Error(
                ErrorKind::malformed,
                format("full_attn_layers counts layers from 1 to {}, but names {}", count, number));
        }
        layers[number - 1].kinds = {LayerKind::mla};
    }
    return layers;
}

void plan_kimi_attention(Blueprint& blueprint, const ConfigReader& config) {
    add(blueprint, read_latent_attention(config, "self_attn"));
    add_no_rotary(blueprint);
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.softmax_only = {in_layer("self_attn.kv_b_proj.weight"),
                                      in_layer("self_attn.kv_a_proj_with_mqa.weight")};
    blueprint.softmax.mixer_only = {in_layer("self_attn.k_proj.weight"),
                                    in_layer("self_attn.A_log"),
                                    in_layer("self_attn.q_conv1d.weight")};
}

}  // namespace

namespace families {

Family kimi_linear() {
    return {.name = "kimi_linear",
            .model_types = {"kimi_linear"},
            .evidence = verified,
            .read_layers = read_kimi_layers,
            .plan_attention = plan_kimi_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
