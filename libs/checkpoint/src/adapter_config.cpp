// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/adapter_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "path_pattern.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Far above what anybody trains, far below what overflows.
constexpr std::uint64_t largest_rank = 1U << 20U;
constexpr double largest_alpha = 1e9;

/// What a variant does that W0 + s B A does not tell.
struct Variant {
    std::string_view key;
    std::string_view name;
    ObstacleReach reach;
};
constexpr std::array variants{
    Variant{"use_qalora", "QA-LoRA, whose A reads pooled inputs", ObstacleReach::all},
    Variant{"use_bdlora", "block-diagonal LoRA", ObstacleReach::all},
    Variant{"arrow_config", "Arrow, which routes tokens between adapters", ObstacleReach::all},
    Variant{"kasa_config", "KaSA, which cuts singular values of the base", ObstacleReach::all},
    Variant{"velora_config", "VeLoRA", ObstacleReach::all},
    Variant{"monteclora_config", "MonteCLoRA, which samples its weights", ObstacleReach::all},
    Variant{"megatron_config", "layers of Megatron", ObstacleReach::all},
    Variant{"layer_replication",
            "layer replication, which numbers the layers of a stack that the base does not have",
            ObstacleReach::all},
    Variant{"target_parameters",
            "parameters without a module of their own (stacks of experts)",
            ObstacleReach::all},
    Variant{"alora_invocation_tokens",
            "aLoRA, which acts only after its invocation tokens",
            ObstacleReach::merge},
};

/// Initialisations that change the base before training.
constexpr auto residual_names = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"pissa", "PiSSA"},
    {"olora", "OLoRA"},
    {"corda", "CorDA"},
    {"lora_ga", "LoRA-GA"},
    {"loftq", "LoftQ"},
    {"eva", "EVA"},
});

bool is_set(const Json* value) {
    if (value == nullptr || value->is_null()) {
        return false;
    }
    if (value->is_boolean()) {
        return value->as_boolean("flag");
    }
    if (value->is_array()) {
        return !value->as_array("list").empty();
    }
    if (value->is_object()) {
        return !value->as_object("object").empty();
    }
    return true;
}

class Reader {
public:
    explicit Reader(const Json& root) : root_(root) {}

    /// Null where the key is absent or null.
    const Json* find(std::string_view key) const {
        const Json* value = root_.find(key);
        return value == nullptr || value->is_null() ? nullptr : value;
    }
    /// Errors: `malformed` for a key whose value is no number, which null is, and with it NaN and
    /// Infinity of Python's JSON.
    double number(std::string_view key, double fallback) const {
        const Json* value = root_.find(key);
        if (value != nullptr && value->is_null()) {
            throw Error(ErrorKind::malformed,
                        format("{} is null, NaN or infinite, expected a number; save the adapter "
                               "again with PEFT, or write the number that it was trained with",
                               key));
        }
        return value == nullptr ? fallback : value->as_double(key);
    }
    bool flag(std::string_view key) const {
        const Json* value = find(key);
        return value != nullptr && value->as_boolean(key);
    }
    std::string word(std::string_view key, std::string fallback) const {
        const Json* value = find(key);
        return value == nullptr ? std::move(fallback) : value->as_string(key);
    }
    std::vector<std::string> words(std::string_view key) const {
        std::vector<std::string> list;
        if (const Json* value = find(key)) {
            for (const Json& entry : value->as_array(key)) {
                list.push_back(entry.as_string(key));
            }
        }
        return list;
    }
    AdapterConfig::Pattern pattern(std::string_view key) const {
        AdapterConfig::Pattern result;
        if (const Json* value = find(key)) {
            for (const auto& [expression, number] : value->as_object(key)) {
                result.emplace_back(expression, number.as_double(key));
            }
        }
        return result;
    }

private:
    const Json& root_;
};

std::uint32_t check_rank(double rank, std::string_view key) {
    if (!(rank >= 1.0) || rank > static_cast<double>(largest_rank) || rank != std::floor(rank)) {
        throw Error(
            ErrorKind::malformed,
            format("{} is {}, expected a whole number from 1 to {}", key, rank, largest_rank));
    }
    return static_cast<std::uint32_t>(rank);
}

double check_alpha(double alpha, std::string_view key) {
    if (!(std::abs(alpha) <= largest_alpha)) {
        throw Error(ErrorKind::malformed, format("{} is {}, expected a number", key, alpha));
    }
    return alpha;
}

std::vector<std::uint64_t> read_indices(const Json& list) {
    std::vector<std::uint64_t> indices;
    for (const Json& index : list.as_array("trainable_token_indices")) {
        indices.push_back(index.as_unsigned("trainable_token_indices"));
    }
    return indices;
}

void read_token_indices(const Json& value, AdapterConfig& config) {
    if (!value.is_object()) {
        config.token_indices["embed_tokens"] = read_indices(value);
        return;
    }
    for (const auto& [module, list] : value.as_object("trainable_token_indices")) {
        config.token_indices[module] = read_indices(list);
    }
}

void read_targets(const Reader& reader, AdapterConfig& config) {
    const auto find_set = [&](const char* key) {
        const Json* value = reader.find(key);
        return value == nullptr || value->is_null() ? nullptr : value;
    };
    const Json* excluded = find_set("exclude_modules");
    config.has_other_choice =
        find_set("layers_pattern") != nullptr || (excluded != nullptr && excluded->is_string());
    if (excluded != nullptr && !excluded->is_string()) {
        config.excluded_modules = reader.words("exclude_modules");
    }
    if (const Json* layers = find_set("layers_to_transform")) {
        std::vector<std::uint64_t> numbers;
        if (layers->is_array()) {
            for (const Json& layer : layers->as_array("layers_to_transform")) {
                numbers.push_back(layer.as_unsigned("layers_to_transform"));
            }
        } else {
            numbers.push_back(layers->as_unsigned("layers_to_transform"));
        }
        config.layers = std::move(numbers);
    }
    const Json* targets = reader.find("target_modules");
    if (targets != nullptr && targets->is_string()) {
        config.target_modules = {targets->as_string("target_modules")};
        config.is_target_expression = true;
    } else {
        config.target_modules = reader.words("target_modules");
    }
}

std::string read_initialisation(const Reader& reader) {
    const Json* value = reader.find("init_lora_weights");
    if (value == nullptr) {
        return "true";
    }
    if (value->is_boolean()) {
        return value->as_boolean("init_lora_weights") ? "true" : "false";
    }
    std::string name = value->as_string("init_lora_weights");
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return name;
}

void find_residual_base(AdapterConfig& config) {
    for (const auto& [start, name] : residual_names) {
        if (!config.initialisation.starts_with(start)) {
            continue;
        }
        const bool changes_base = start != "eva";
        config.obstacles.push_back(
            {.reach = ObstacleReach::all,
             .is_residual_base = true,
             .sentence = format(
                 "the adapter was started by {} (init_lora_weights is {}){}; {}, or, where "
                 "--pre is the very base that it was trained on, go on with --allow residual",
                 name,
                 in_quotes(config.initialisation),
                 changes_base ? ": it belongs to a residual base, not to the published one, so "
                                "without q and k it would not give W_Q and W_K of the published one"
                              : ", and nothing in its files tells whether its base was changed too",
                 changes_base ? "save it with path_initial_model_for_weight_conversion of PEFT's "
                                "save_pretrained, which makes a plain LoRA of the published base"
                              : "check that base_model_name_or_path is the checkpoint given")});
        return;
    }
}

void find_variants(const Json& root, AdapterConfig& config) {
    for (const Variant& variant : variants) {
        if (is_set(root.find(variant.key))) {
            config.obstacles.push_back(
                {.reach = variant.reach,
                 .sentence = format("{} asks for {}, which {}",
                                    variant.key,
                                    variant.name,
                                    variant.reach == ObstacleReach::merge
                                        ? "no merged checkpoint can do; repair the adapter itself "
                                          "(--post ADAPTER)"
                                        : "is not handled; merge it with PEFT and repair the "
                                          "merged checkpoint")});
        }
    }
    for (const auto& [key, value] : root.as_object("adapter_config.json")) {
        const bool is_known = key == "use_rslora" || key == "use_dora" ||
                              std::ranges::find(variants, key, &Variant::key) != variants.end();
        if (key.starts_with("use_") && !is_known && is_set(&value)) {
            config.obstacles.push_back(
                {.sentence = format("{} is set, a variant of LoRA that is not known here; merge "
                                    "it with PEFT and repair the merged checkpoint",
                                    in_quotes(key))});
        }
    }
}

void find_type(const Reader& reader, AdapterConfig& config) {
    const std::string type = reader.word("peft_type", "LORA");
    if (type != "LORA") {
        config.obstacles.push_back(
            {.sentence = format("the adapter is {} (peft_type), and only LORA is handled; merge "
                                "it with PEFT and repair the merged checkpoint",
                                in_quotes(type))});
    }
}

}  // namespace

bool is_meant(std::string_view path, std::string_view target) {
    return path == target ||
           (path.ends_with(target) && path[path.size() - target.size() - 1] == '.');
}

AdapterConfig parse_adapter_config(const Json& root) {
    static_cast<void>(root.as_object("adapter_config.json"));
    const Reader reader(root);
    AdapterConfig config;
    find_type(reader, config);
    config.rank = check_rank(reader.number("r", config.rank), "r");
    config.alpha = check_alpha(reader.number("lora_alpha", config.alpha), "lora_alpha");
    config.has_root_scale = reader.flag("use_rslora");
    config.is_dora = reader.flag("use_dora");
    config.has_lora_bias = reader.flag("lora_bias");
    config.is_fan_in_fan_out = reader.flag("fan_in_fan_out");
    config.has_tied_weights = reader.flag("ensure_weight_tying");
    config.bias = reader.word("bias", "none");
    config.initialisation = read_initialisation(reader);
    config.rank_pattern = reader.pattern("rank_pattern");
    config.alpha_pattern = reader.pattern("alpha_pattern");
    for (const auto& [key, rank] : config.rank_pattern) {
        check_rank(rank, "rank_pattern");
    }
    for (const auto& [key, alpha] : config.alpha_pattern) {
        check_alpha(alpha, "alpha_pattern");
    }
    config.modules_to_save = reader.words("modules_to_save");
    read_targets(reader, config);
    if (const Json* indices = reader.find("trainable_token_indices")) {
        read_token_indices(*indices, config);
    }
    config.base_name = reader.word("base_model_name_or_path", "");
    config.peft_version = reader.word("peft_version", "");
    find_residual_base(config);
    find_variants(root, config);
    return config;
}

AdapterConfig parse_adapter_config(std::string_view text) {
    return parse_adapter_config(Json::parse_python(text));
}

ModuleStrength find_strength(const AdapterConfig& config, const std::string& path) {
    ModuleStrength strength{.rank = config.rank, .alpha = config.alpha};
    for (const auto& [expression, rank] : config.rank_pattern) {
        if (matches_path(expression, path)) {
            strength.rank = check_rank(rank, "rank_pattern");
            break;
        }
    }
    for (const auto& [expression, alpha] : config.alpha_pattern) {
        if (matches_path(expression, path)) {
            strength.alpha = alpha;
            break;
        }
    }
    return strength;
}

double make_scale(const AdapterConfig& config, const ModuleStrength& strength) {
    if (config.has_unit_scale) {
        return 1.0;
    }
    const double rank = strength.rank;
    return strength.alpha / (config.has_root_scale ? std::sqrt(rank) : rank);
}

}  // namespace anamnesis::checkpoint
