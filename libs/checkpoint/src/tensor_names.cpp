// SPDX-License-Identifier: Apache-2.0
#include "tensor_names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "wrappers.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Components that say only how the language model is wrapped. "teacher_model" is missing on
/// purpose: a distillation checkpoint holds both, and only the student is meant.
constexpr std::array<std::string_view, 6> prefixes{
    "model.", "language_model.", "backbone.", "gpt_neox.", "transformer.", "student_model."};

constexpr std::array<std::string_view, 5> layer_containers{"layers", "h", "blocks", "block", "blk"};

std::string without_prefix(std::string_view tensor_name) {
    const std::string clean = without_wrappers(tensor_name);
    std::string_view name = clean;
    bool found = true;
    while (found) {
        found = false;
        for (const std::string_view prefix : prefixes) {
            if (name.starts_with(prefix)) {
                name.remove_prefix(prefix.size());
                found = true;
            }
        }
    }
    return std::string(name);
}

}  // namespace

std::string canonical_name(std::string_view tensor_name) {
    return without_prefix(tensor_name);
}

std::optional<NumberedName> find_numbered(std::string_view canonical) {
    const std::size_t dot = canonical.find('.');
    if (dot == std::string_view::npos ||
        std::ranges::find(layer_containers, canonical.substr(0, dot)) == layer_containers.end()) {
        return std::nullopt;
    }
    const std::string_view after_dot = canonical.substr(dot + 1);
    std::uint32_t number = 0;
    const auto [end, error] =
        std::from_chars(after_dot.data(), after_dot.data() + after_dot.size(), number);
    const auto digits = static_cast<std::size_t>(end - after_dot.data());
    if (error != std::errc{} || digits == after_dot.size() || after_dot[digits] != '.') {
        return std::nullopt;
    }
    return NumberedName{.container = canonical.substr(0, dot),
                        .number = number,
                        .rest = after_dot.substr(digits + 1)};
}

std::optional<LayerIndex> find_layer(std::string_view tensor_name) {
    const std::string canonical = without_prefix(tensor_name);
    const auto numbered = find_numbered(canonical);
    return numbered ? std::optional(LayerIndex(numbered->number)) : std::nullopt;
}

std::optional<std::string> find_scaled_weight(std::string_view tensor_name) {
    return find_weight_of_scale(tensor_name);
}

std::optional<std::string> find_weight_of_scale(std::string_view name) {
    for (const std::string_view suffix : {"_scale_inv", "_scale"}) {
        if (name.ends_with(suffix)) {
            name.remove_suffix(suffix.size());
            // "input_scale" belongs to the activations of the same module.
            if (name.ends_with(".input")) {
                name.remove_suffix(std::string_view("input").size());
                return format("{}weight", name);
            }
            return std::string(name);
        }
    }
    return std::nullopt;
}

TensorNames::TensorNames(const Checkpoint& checkpoint) {
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        std::string canonical = without_prefix(tensor.name);
        if (const auto numbered = find_numbered(canonical)) {
            layers_.try_emplace(numbered->number, tensor.name);
            if (prefix_.empty()) {
                const std::string clean = without_wrappers(tensor.name);
                prefix_ = clean.substr(0, clean.size() - canonical.size());
            }
        }
        by_name_[std::move(canonical)].push_back(&tensor);
    }
}

const std::vector<const TensorEntry*>& TensorNames::all(std::string_view canonical) const {
    static const std::vector<const TensorEntry*> none;
    const auto found = by_name_.find(canonical);
    return found == by_name_.end() ? none : found->second;
}

const TensorEntry* TensorNames::find(std::string_view canonical) const {
    const auto& entries = all(canonical);
    return entries.empty() ? nullptr : entries.front();
}

std::string TensorNames::full_name(std::string_view canonical) const {
    if (const TensorEntry* tensor = find(canonical)) {
        return tensor->name;
    }
    return canonical.starts_with("mtp.") ? std::string(canonical)
                                         : format("{}{}", prefix_, canonical);
}

bool TensorNames::any_ends_with(std::string_view suffix) const {
    return std::ranges::any_of(by_name_,
                               [&](const auto& item) { return item.first.ends_with(suffix); });
}

}  // namespace anamnesis::checkpoint
