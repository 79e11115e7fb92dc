// SPDX-License-Identifier: Apache-2.0
#include "adapter_targets.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "path_pattern.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::string_view weight_suffix = ".weight";

bool is_any(const std::vector<std::string>& names, std::string_view path) {
    return std::ranges::any_of(names,
                               [path](const std::string& name) { return is_meant(path, name); });
}

/// The config chooses modules by name, so that their tensors can be held against it.
bool names_targets(const AdapterConfig& config) {
    return !config.target_modules.empty() && config.target_modules.front() != "all-linear" &&
           !config.has_other_choice;
}

/// The last number with dots around it, as PEFT finds a module's layer.
std::optional<std::uint64_t> find_layer_number(std::string_view path) {
    const std::vector<std::string> parts = split(path, '.');
    for (std::size_t i = parts.size() - 1; i-- > 1;) {
        std::uint64_t number = 0;
        const char* end = parts[i].data() + parts[i].size();
        const auto result = std::from_chars(parts[i].data(), end, number);
        if (result.ec == std::errc{} && result.ptr == end) {
            return number;
        }
    }
    return std::nullopt;
}

bool is_chosen(const AdapterConfig& config, std::string_view path) {
    if (is_any(config.excluded_modules, path)) {
        return false;
    }
    const std::optional<std::uint64_t> layer =
        config.layers ? find_layer_number(path) : std::nullopt;
    return !config.layers ||
           (layer && std::ranges::find(*config.layers, *layer) != config.layers->end());
}

bool is_targeted(const AdapterConfig& config, const std::string& path) {
    if (!config.is_target_expression) {
        return is_any(config.target_modules, path) && is_chosen(config, path);
    }
    try {
        return matches_path(config.target_modules.front(), path);
    } catch (const Error&) {
        return true;  // An expression of Python's that is not read here tells nothing.
    }
}

void find_untargeted(const AdapterMatch& match, std::vector<Finding>& findings) {
    std::vector<std::string> names;
    for (const AdapterModule& module : match.adapter->modules) {
        if (!is_targeted(match.adapter->config, module.path)) {
            names.push_back(module.path);
        }
    }
    if (!names.empty()) {
        findings.push_back(make_finding(
            "untargeted_adapter_modules",
            Severity::warning,
            names,
            format("{} modules of the adapter are none that adapter_config.json chooses "
                   "(target_modules, exclude_modules, layers_to_transform): {}; PEFT leaves them "
                   "out, vLLM and this program do not",
                   names.size(),
                   list_examples(names)),
            "correct adapter_config.json, or remove the tensors"));
    }
}

/// Experts are no modules of their own in transformers, whatever their tensors are called.
void find_without_tensors(const AdapterMatch& match, std::vector<Finding>& findings) {
    const AdapterConfig& config = match.adapter->config;
    if (config.is_target_expression) {
        return;
    }
    std::vector<std::string> names;
    for (const TensorEntry& tensor : match.base->checkpoint.tensors()) {
        const std::string_view name = tensor.name;
        if (name.ends_with(weight_suffix) && tensor.shape.size() == 2 &&
            name.find(".experts.") == std::string_view::npos && match.find(tensor) == nullptr &&
            is_targeted(config, std::string(name.substr(0, name.size() - weight_suffix.size())))) {
            names.emplace_back(name);
        }
    }
    if (!names.empty()) {
        findings.push_back(make_finding(
            "target_modules_without_tensors",
            Severity::note,
            names,
            format("target_modules of adapter_config.json means {} matrices of the base for which "
                   "the adapter has nothing ({}): as in an adapter that was repaired; in any other "
                   "a part is lost",
                   names.size(),
                   list_examples(names))));
    }
}

void find_unsaved(const AdapterMatch& match, std::vector<Finding>& findings) {
    std::vector<std::string> names;
    for (const std::string& module : match.adapter->config.modules_to_save) {
        const bool is_there =
            std::ranges::any_of(match.adapter->saved, [&](const SavedTensor& saved) {
                return is_any({module}, saved.name.substr(0, saved.name.rfind('.')));
            });
        if (!is_there) {
            names.push_back(module);
        }
    }
    if (!names.empty()) {
        findings.push_back(make_finding(
            "modules_to_save_without_tensors",
            Severity::warning,
            names,
            format("modules_to_save of adapter_config.json names {}, and the adapter has no tensor "
                   "of {}: the base's own stay",
                   list_examples(names),
                   names.size() == 1 ? "it" : "them"),
            "fetch the adapter again, with all its files"));
    }
}

}  // namespace

std::vector<Finding> find_target_findings(const AdapterMatch& match) {
    std::vector<Finding> findings;
    if (match.adapter->is_gguf()) {
        return findings;
    }
    if (names_targets(match.adapter->config)) {
        find_untargeted(match, findings);
        find_without_tensors(match, findings);
    }
    find_unsaved(match, findings);
    return findings;
}

}  // namespace anamnesis::checkpoint
