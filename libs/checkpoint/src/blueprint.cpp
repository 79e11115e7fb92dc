// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "rotary.hpp"
#include "softmax_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

const Family& choose_family(const ConfigReader& config, const std::optional<std::string>& name) {
    if (!name) {
        return recognise_family(config);
    }
    const Family* family = find_family(*name);
    if (family == nullptr) {
        refuse_family(*name);
    }
    return *family;
}

void read_sizes(Blueprint& blueprint, const ConfigReader& config, const BlueprintOptions& options) {
    blueprint.hidden_size = read_hidden_size(config, options.hidden_size);
    blueprint.vocabulary_size =
        options.vocabulary_size != 0 ? options.vocabulary_size : config.count("vocab_size", 0);
    if (config.has("tie_word_embeddings")) {
        blueprint.is_head_tied = config.flag("tie_word_embeddings", true);
    }
}

/// What only a model that runs needs; restoring its rows must not fail for it.
void plan_whole_model(Blueprint& blueprint, const Family& family, const ConfigReader& config) {
    Blueprint whole = blueprint;
    try {
        whole.context_length =
            config.count("max_position_embeddings", family.defaults.context_length);
        whole.norm_eps = config.find_number("rms_norm_eps").value_or(family.defaults.norm_eps);
        expect_one_rotary(config);
        family.plan_layers(whole, config);
        blueprint = std::move(whole);
        blueprint.is_complete = true;
    } catch (const Error& error) {
        blueprint.obstacle = error;
    }
}

}  // namespace

void sort_names(Blueprint& blueprint) {
    blueprint.by_name.resize(blueprint.tensors.size());
    std::iota(blueprint.by_name.begin(), blueprint.by_name.end(), 0U);
    std::ranges::sort(blueprint.by_name, {}, [&](std::uint32_t i) -> std::string_view {
        return blueprint.tensors[i].name;
    });
}

const PlannedTensor* Blueprint::find(std::optional<LayerIndex> layer, std::string_view role) const {
    const auto found = std::ranges::find_if(tensors, [&](const PlannedTensor& tensor) {
        return tensor.layer == layer && tensor.role == role;
    });
    return found == tensors.end() ? nullptr : &*found;
}

const PlannedTensor* Blueprint::find_named(std::string_view name) const {
    const auto name_at = [&](std::uint32_t i) -> std::string_view { return tensors[i].name; };
    const auto found = std::ranges::lower_bound(by_name, name, {}, name_at);
    return found == by_name.end() || name_at(*found) != name ? nullptr : &tensors[*found];
}

Blueprint make_blueprint(const Family& family,
                         const ConfigReader& config,
                         const BlueprintOptions& options) {
    Blueprint blueprint;
    blueprint.family = family.name;
    blueprint.evidence = family.evidence;
    blueprint.layers = options.layers ? *options.layers : family.read_layers(config);
    read_sizes(blueprint, config, options);
    family.plan_attention(blueprint, config);
    blueprint.specs.resize(blueprint.layers.size());
    if (family.plan_layers != nullptr) {
        plan_whole_model(blueprint, family, config);
    }
    if (!blueprint.is_complete) {
        plan_softmax_tensors(blueprint);
    }
    sort_names(blueprint);
    return blueprint;
}

Blueprint make_blueprint(const Json& config, const BlueprintOptions& options) {
    const ConfigReader reader(config);
    return make_blueprint(choose_family(reader, options.family), reader, options);
}

}  // namespace anamnesis::checkpoint
