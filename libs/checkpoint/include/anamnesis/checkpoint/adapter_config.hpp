// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::checkpoint {

/// What of an adapter cannot be done for an obstacle.
enum class ObstacleReach : std::uint8_t {
    files,  ///< merging it into the files of its base
    merge,  ///< merging at all, and so running it; rows can be taken out of it
    all,    ///< anything
};

/// Something that adapter_config.json says and that this project does not handle.
struct AdapterObstacle {
    ObstacleReach reach = ObstacleReach::all;
    /// The adapter starts from a base that its initialisation changed: right where that base is
    /// given, which nothing in the files tells.
    bool is_residual_base = false;
    std::string sentence;
};

/// How an adapter was made: adapter_config.json of PEFT.
/// Source: peft 0.21, `LoraConfig`.
struct AdapterConfig {
    /// Values by regular expressions of module paths, in the order of the file.
    using Pattern = std::vector<std::pair<std::string, double>>;

    std::uint32_t rank = 8;
    double alpha = 8.0;
    bool has_root_scale = false;  ///< use_rslora: alpha / sqrt(rank)
    /// Of a GGUF adapter without alpha, which is 0 then: llama.cpp takes a scale of 1 for every
    /// module, whatever its rank.
    bool has_unit_scale = false;
    bool is_dora = false;
    bool has_lora_bias = false;
    bool is_fan_in_fan_out = false;
    bool has_tied_weights = false;  ///< ensure_weight_tying
    std::string bias = "none";
    std::string initialisation = "true";  ///< init_lora_weights: "true", "gaussian", "pissa"…
    Pattern rank_pattern{};
    Pattern alpha_pattern{};
    std::vector<std::string> modules_to_save{};
    std::vector<std::string> target_modules{};  ///< one with `is_expression`
    bool is_target_expression = false;
    std::vector<std::string> excluded_modules{};         ///< exclude_modules, where it is a list
    std::optional<std::vector<std::uint64_t>> layers{};  ///< layers_to_transform
    /// layers_pattern or an expression of exclude_modules chooses among the targets.
    bool has_other_choice = false;
    /// Rows of an embedding that are trained, by the name of the module.
    std::map<std::string, std::vector<std::uint64_t>> token_indices{};
    std::string base_name{};  ///< base_model_name_or_path
    std::string peft_version{};
    std::vector<AdapterObstacle> obstacles{};
};

/// What the config says of one module.
struct ModuleStrength {
    std::uint32_t rank = 0;
    double alpha = 0.0;
};

/// Whether a module at `path` is meant by `target`, as PEFT reads lists of modules.
bool is_meant(std::string_view path, std::string_view target);

/// Reads the root of adapter_config.json.
/// Errors: `malformed`, naming the key, for a value of a wrong type or out of range. What is well
/// formed and not handled is an obstacle.
AdapterConfig parse_adapter_config(const Json& root);

/// The same for the text of the file.
AdapterConfig parse_adapter_config(std::string_view text);

/// Rank and alpha of the module at `path` ("model.layers.3.self_attn.q_proj"): those of the first
/// pattern that matches as `(.*\.)?(KEY)$`, else the adapter's own.
/// Errors: `malformed` for a pattern that is no regular expression, or takes too long.
ModuleStrength find_strength(const AdapterConfig& config, const std::string& path);

/// What the product B A is multiplied by: alpha / rank, or alpha / sqrt(rank) with rsLoRA; 1 with
/// `has_unit_scale`.
double make_scale(const AdapterConfig& config, const ModuleStrength& strength);

}  // namespace anamnesis::checkpoint
