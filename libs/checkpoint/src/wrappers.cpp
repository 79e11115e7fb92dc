// SPDX-License-Identifier: Apache-2.0
#include "wrappers.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Components that wrappers of training libraries put anywhere into a name: torch.compile,
/// activation checkpointing, FSDP, fairscale, DDP and DataParallel, Lightning, PEFT.
constexpr std::array<std::string_view, 9> inner_wrappers{"_orig_mod",
                                                         "_checkpoint_wrapped_module",
                                                         "_fsdp_wrapped_module",
                                                         "_fpw_module",
                                                         "_forward_module",
                                                         "_original_module",
                                                         "original_module",
                                                         "base_layer",
                                                         "module"};

/// Components that begin a name: PEFT, TRL's model with a value head.
constexpr std::array<std::string_view, 2> outer_wrappers{"base_model", "pretrained_model"};

template <class Names>
bool holds(const Names& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

/// The wrapper that begins at component `i` of a name, and how many components it has.
struct Wrapper {
    std::string spelling;
    std::size_t components = 0;
};

std::optional<Wrapper> find_wrapper_at(const std::vector<std::string>& parts,
                                       std::size_t i,
                                       bool is_first) {
    const std::string& part = parts[i];
    if (i + 1 < parts.size() && holds(inner_wrappers, part)) {
        return Wrapper{
            part == "base_layer" || part == "original_module" ? format(".{}.", part) : part + ".",
            1};
    }
    if (!is_first || i + 1 >= parts.size() || !holds(outer_wrappers, part)) {
        return std::nullopt;
    }
    // PEFT's model has an adapter's model between: base_model.model.
    const bool has_inner = part == "base_model" && parts[i + 1] == "model";
    return Wrapper{has_inner ? "base_model.model." : part + ".", has_inner ? 2U : 1U};
}

bool contains(std::string_view name, std::string_view part) {
    return name.find(part) != std::string_view::npos;
}

/// A cheap test, for a checkpoint has 100,000 names: no wrapper without one of these.
bool may_have_wrapper(std::string_view name) {
    return contains(name, "_mod") || contains(name, "module") || contains(name, "base_") ||
           contains(name, "pretrained_model");
}

/// The same for a prefix that is nested into itself.
bool may_be_nested(std::string_view name) {
    return contains(name, "model.model.") || contains(name, "language_model.language_model.") ||
           contains(name, "backbone.backbone.") || contains(name, "transformer.transformer.");
}

/// "model.language_model.language_model." of a name whose prefix holds a component twice in a row;
/// empty for other names.
std::string find_nested_prefix(std::string_view tensor_name) {
    const std::string clean = without_wrappers(tensor_name);
    if (!may_be_nested(clean)) {
        return {};
    }
    const std::vector<std::string> parts = split(clean, '.');
    std::size_t end = 0;
    bool is_nested = false;
    while (end < parts.size() && (parts[end] == "model" || parts[end] == "language_model" ||
                                  parts[end] == "backbone" || parts[end] == "transformer")) {
        is_nested = is_nested || (end > 0 && parts[end] == parts[end - 1]);
        ++end;
    }
    std::string prefix;
    for (std::size_t i = 0; i < end; ++i) {
        prefix += parts[i] + ".";
    }
    return is_nested ? prefix : std::string();
}

}  // namespace

std::optional<std::string> find_wrapper(std::string_view tensor_name) {
    if (!may_have_wrapper(tensor_name)) {
        return std::nullopt;
    }
    const std::vector<std::string> parts = split(tensor_name, '.');
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (auto wrapper = find_wrapper_at(parts, i, i == 0)) {
            return wrapper->spelling;
        }
    }
    return std::nullopt;
}

std::string without_wrappers(std::string_view tensor_name) {
    if (!may_have_wrapper(tensor_name)) {
        return std::string(tensor_name);
    }
    const std::vector<std::string> parts = split(tensor_name, '.');
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < parts.size();) {
        if (const auto wrapper = find_wrapper_at(parts, i, kept.empty())) {
            i += wrapper->components;
        } else {
            kept.push_back(parts[i++]);
        }
    }
    return join(kept, ".");
}

std::string clean_name(std::string_view tensor_name) {
    std::string name = without_wrappers(tensor_name);
    const std::string nested = find_nested_prefix(name);
    if (nested.empty()) {
        return name;
    }
    std::string prefix;
    std::string last;
    for (const std::string& part :
         split(std::string_view(nested).substr(0, nested.size() - 1), '.')) {
        if (part != last) {
            prefix += part + ".";
        }
        last = part;
    }
    return prefix + name.substr(nested.size());
}

bool collect_wrappers(std::string_view tensor_name, std::set<std::string>& wrappers) {
    const auto wrapper = find_wrapper(tensor_name);
    if (!wrapper) {
        return false;
    }
    wrappers.insert(*wrapper);
    // Several wrappers may be nested; each is named.
    for (const std::string& part : split(tensor_name, '.')) {
        if (holds(inner_wrappers, part) && !wrapper->starts_with(part) &&
            !tensor_name.ends_with("." + part) && wrapper->find(part) == std::string::npos) {
            wrappers.insert(part + ".");
        }
    }
    return true;
}

Finding make_wrapped_names(const std::vector<std::string>& names,
                           const std::set<std::string>& wrappers,
                           std::string remedy) {
    return make_finding(
        "wrapped_names",
        Severity::warning,
        names,
        format("{} tensor name{} the wrapper {} of training code, such as {}: loaders do not find "
               "such names",
               names.size(),
               names.size() == 1 ? " holds" : "s hold",
               list_examples({wrappers.begin(), wrappers.end()}),
               in_quotes(names.front())),
        std::move(remedy));
}

void find_odd_names(const Checkpoint& checkpoint, std::vector<Finding>& findings) {
    std::vector<std::string> wrapped;
    std::vector<std::string> nested;
    std::set<std::string> wrappers;
    std::set<std::string> prefixes;
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        const std::string& name = tensor.name;
        if (collect_wrappers(name, wrappers)) {
            wrapped.push_back(name);
        }
        if (const std::string prefix = find_nested_prefix(name); !prefix.empty()) {
            nested.push_back(name);
            prefixes.insert(prefix);
        }
    }
    if (!wrapped.empty()) {
        findings.push_back(make_wrapped_names(
            wrapped,
            wrappers,
            "save the unwrapped model, or write a repaired copy with --clean-names"));
    }
    if (!nested.empty()) {
        findings.push_back(make_finding(
            "nested_prefix",
            Severity::warning,
            nested,
            format("{} tensor{} named {}…, a prefix nested into itself, such as {}: loaders do "
                   "not find such names and fill the layers with random values",
                   nested.size(),
                   nested.size() == 1 ? " is" : "s are",
                   list_examples({prefixes.begin(), prefixes.end()}),
                   in_quotes(nested.front())),
            "rename the tensors, or write a repaired copy with --clean-names"));
    }
}

}  // namespace anamnesis::checkpoint
