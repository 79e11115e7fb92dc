// SPDX-License-Identifier: Apache-2.0
#include "rotary.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "rope_meaning.hpp"

namespace anamnesis::checkpoint {
namespace {

/// What `key` says of full-attention layers. An empty `rope_parameters` beside top-level keys
/// really occurs (HypeNet), so emptiness counts as absence.
const Json* find_parameters(const ConfigReader& config, std::string_view key) {
    const Json* value = config.find(key);
    if (value == nullptr || value->as_object(key).empty()) {
        return nullptr;
    }
    const Json* full = value->find("full_attention");
    return full != nullptr && full->is_object() ? full : value;
}

/// The object with the rotary keys of full-attention layers.
const Json* find_parameters(const ConfigReader& config) {
    const Json* parameters = find_parameters(config, "rope_parameters");
    return parameters != nullptr ? parameters : find_parameters(config, "rope_scaling");
}

std::optional<double> find_in(const Json* object, std::string_view key) {
    const Json* value = object == nullptr ? nullptr : object->find(key);
    return value == nullptr || value->is_null() ? std::nullopt
                                                : std::optional(number_from(*value, key));
}

std::optional<std::string> find_type(const Json* parameters, std::string_view key) {
    const Json* value = parameters == nullptr ? nullptr : parameters->find(key);
    return value == nullptr || !value->is_string() ? std::nullopt
                                                   : std::optional(value->as_string(key));
}

/// Scaling keys, sorted, with the old name `type` written as the new one, so that both spellings of
/// one setting compare equal.
Json read_scaling(const ConfigReader& config, const Json* parameters) {
    Json::Object kept;
    if (parameters != nullptr) {
        const bool is_new = find_type(parameters, "rope_type").has_value();
        for (const auto& [key, value] : parameters->as_object("rope_parameters")) {
            if (key == "type" && is_new) {
                continue;
            }
            const std::string name = key == "type" ? "rope_type" : key;
            const bool is_default =
                name == "rope_type" && value.is_string() && value.as_string(name) == "default";
            // Sections of the multimodal position make no difference for text.
            if (name == "rope_theta" || name == "partial_rotary_factor" || is_default ||
                name.starts_with("mrope_") || value.is_null()) {
                continue;
            }
            kept.emplace_back(name, value);
        }
    }
    // Sliding layers of Gemma 3 turn at a speed of their own.
    std::optional<double> local = config.find_number("rope_local_base_freq");
    if (const Json* all = config.find("rope_parameters")) {
        if (const Json* sliding = all->find("sliding_attention")) {
            local = find_in(sliding, "rope_theta");
        }
    }
    if (local) {
        kept.emplace_back("sliding_rope_theta", *local);
    }
    if (kept.empty()) {
        return {};
    }
    std::ranges::sort(kept, {}, &Json::Member::first);
    return Json(std::move(kept));
}

/// The base that the library fills in where a config states none, where it is not the usual one.
/// Source: the config classes of transformers 5.23.
std::optional<double> find_filled_theta(const ConfigReader& config) {
    constexpr std::array<std::pair<std::string_view, double>, 6> filled{{{"mixtral", 1e6},
                                                                         {"gpt_oss", 150'000.0},
                                                                         {"gemma3", 1e6},
                                                                         {"gemma3_text", 1e6},
                                                                         {"falcon_h1", 100'000.0},
                                                                         {"minimax", 1e6}}};
    const std::string model_type = config.find_word("model_type").value_or("");
    const auto* const found =
        std::ranges::find(filled, model_type, [](const auto& entry) { return entry.first; });
    return found == filled.end() ? std::nullopt : std::optional(found->second);
}

/// Phi-3 and others state the context that a scaling starts from beside it. The library lets that
/// one win, but for parameters that are told apart by kinds of layers.
void add_original_context(Json& scaling,
                          const ConfigReader& config,
                          std::optional<std::uint32_t> fallback) {
    constexpr std::string_view key = "original_max_position_embeddings";
    const auto type = find_type(&scaling, "rope_type");
    const Json* all = config.find("rope_parameters");
    const bool is_nested = all != nullptr && all->find("full_attention") != nullptr;
    if (is_nested || (type != "llama3" && type != "yarn" && type != "longrope" && type != "su")) {
        return;
    }
    const Json* beside = config.find(key);
    if (beside == nullptr && (!fallback || scaling.find(key) != nullptr)) {
        return;
    }
    Json::Object members = scaling.as_object("rope_scaling");
    std::erase_if(members, [&](const Json::Member& member) { return member.first == key; });
    members.emplace_back(key, beside != nullptr ? *beside : Json(std::uint64_t{*fallback}));
    std::ranges::sort(members, {}, &Json::Member::first);
    scaling = Json(std::move(members));
}

PositionSettings read_position(const ConfigReader& config, const RotaryDefaults& defaults) {
    const Json* parameters = find_parameters(config);
    PositionSettings position;
    position.rope_theta = find_in(parameters, "rope_theta");
    for (const std::string_view key : {"rope_theta", "rotary_emb_base"}) {
        if (!position.rope_theta) {
            position.rope_theta = config.find_number(key);
        }
    }
    if (!position.rope_theta) {
        position.rope_theta = defaults.theta;
    }
    const bool is_filled_in =
        parameters == nullptr && defaults.scaling && !config.has("rope_parameters");
    position.rope_scaling =
        is_filled_in ? Json::parse(*defaults.scaling) : read_scaling(config, parameters);
    add_original_context(position.rope_scaling, config, defaults.original_context);
    position.rope_meaning =
        find_rope_meaning(position.rope_scaling,
                          position.rope_theta ? position.rope_theta : find_filled_theta(config),
                          config.count("max_position_embeddings", 0));
    return position;
}

}  // namespace

void expect_one_rotary(const ConfigReader& config) {
    for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
        const Json* parameters = find_parameters(config, key);
        const auto type = find_type(parameters, "rope_type");
        const auto old = find_type(parameters, "type");
        const bool is_renamed = (old == "su" && type == "longrope") || old == "mrope";
        if (type && old && *type != *old && !is_renamed) {
            throw Error(ErrorKind::unsupported,
                        format("{} of config.json has rope_type {} and type {}: remove the one "
                               "that is not meant",
                               key,
                               in_quotes(*type),
                               in_quotes(*old)));
        }
    }
    const Json* parameters = find_parameters(config, "rope_parameters");
    const Json* added = find_parameters(config, "rope_scaling");
    if (parameters == nullptr || added == nullptr) {
        return;
    }
    const auto theta = find_in(parameters, "rope_theta");
    const std::uint32_t context = config.count("max_position_embeddings", 0);
    const Json meaning = find_rope_meaning(read_scaling(config, parameters), theta, context);
    const Json other =
        find_rope_meaning(read_scaling(config, added),
                          theta ? find_in(added, "rope_theta").value_or(*theta) : theta,
                          context);
    if (!(meaning == other)) {
        throw Error(
            ErrorKind::unsupported,
            "config.json has rope_parameters and rope_scaling, which say different things: "
            "transformers takes rope_scaling and forgets the rope_theta of the other; write "
            "all that is meant into rope_parameters and remove rope_scaling");
    }
}

void add_rotary(Blueprint& blueprint, const ConfigReader& config, const RotaryDefaults& defaults) {
    const auto scale = blueprint.position.attention_scale;
    blueprint.position = read_position(config, defaults);
    blueprint.position.attention_scale = scale;
    std::optional<double> factor = find_in(find_parameters(config), "partial_rotary_factor");
    for (const std::string_view key : {"partial_rotary_factor", "rotary_pct"}) {
        if (!factor) {
            factor = config.find_number(key);
        }
    }
    if (!blueprint.heads) {
        // Without a head size the number of rotated rows stays open.
        blueprint.rotary.pairs = RotaryLayout::Pairs::half_split;
        return;
    }
    const double head_dim = blueprint.heads->head_dim;
    if (const auto dimensions = config.find_count("rotary_dim")) {
        factor = *dimensions / head_dim;
    }
    const double share = factor.value_or(defaults.partial_factor);
    if (!(share >= 0.0) || share > 1.0) {
        throw Error(
            ErrorKind::malformed,
            format("config.json rotates {} of every head, expected a share from 0 to 1", share));
    }
    if (share < 1.0) {
        blueprint.position.partial_rotary_factor = share;
    }
    // Truncated as Python's int() does in the libraries.
    blueprint.rotary = {.pairs = RotaryLayout::Pairs::half_split,
                        .dimensions = static_cast<std::uint32_t>(head_dim * share)};
}

void add_latent_rotary(Blueprint& blueprint,
                       const ConfigReader& config,
                       std::uint32_t dimensions,
                       RotaryLayout::Pairs pairs) {
    blueprint.position = read_position(config, {});
    const std::uint32_t head_dim = blueprint.heads ? blueprint.heads->head_dim : dimensions;
    blueprint.rotary = {.pairs = pairs, .dimensions = dimensions, .offset = head_dim - dimensions};
}

void add_no_rotary(Blueprint& blueprint) {
    blueprint.rotary = {};
    const auto scale = blueprint.position.attention_scale;
    blueprint.position = {};
    blueprint.position.uses_rope = false;
    blueprint.position.attention_scale = scale;
}

}  // namespace anamnesis::checkpoint
