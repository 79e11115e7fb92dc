// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// What is before the canonical name; nothing where wrappers lie within it.
inline std::optional<std::string> find_prefix(std::string_view name) {
    const std::string canonical = canonical_name(name);
    return name.ends_with(canonical)
               ? std::optional<std::string>(name.substr(0, name.size() - canonical.size()))
               : std::nullopt;
}

inline bool has_wrapper(std::string_view prefix) {
    constexpr std::string_view wrapper = "language_model.";
    return prefix.find(wrapper) != std::string_view::npos;
}

/// Tensors of the base by the names that adapters have for them.
class BaseNames {
public:
    BaseNames(const RecognisedCheckpoint& base, PrefixRule rule)
        : checkpoint_(base.checkpoint), names_(base.checkpoint), rule_(rule) {
        if (base.model.blueprint == nullptr) {
            return;
        }
        // The library that runs a model may name its modules otherwise than its files.
        for (const PlannedTensor& planned : base.model.blueprint->tensors) {
            for (const std::string& other : planned.other_names) {
                if (const TensorEntry* tensor = names_.find(planned.name)) {
                    other_names_.emplace(other, tensor);
                }
            }
        }
    }

    /// Null where the base has nothing that a loader would find under the name.
    const TensorEntry* find(const std::string& name) {
        if (const TensorEntry* tensor = checkpoint_.find(name)) {
            return tensor;
        }
        const std::string canonical = canonical_name(name);
        const TensorEntry* tensor = names_.find(canonical);
        if (tensor == nullptr) {
            const auto found = other_names_.find(canonical);
            tensor = found == other_names_.end() ? nullptr : found->second;
        }
        if (tensor == nullptr) {
            return nullptr;
        }
        const auto prefix = find_prefix(name);
        if (!prefix) {
            return nullptr;
        }
        const std::string& from = *prefix;
        const std::string to = find_prefix(tensor->name).value_or(from);
        if (rule_ == PrefixRule::loaders && has_wrapper(from) && !has_wrapper(to)) {
            wrapped_ = name;
            return nullptr;
        }
        if (from != to) {
            exchanges_.emplace(from, to);
        }
        return tensor;
    }

    const std::set<std::pair<std::string, std::string>>& exchanges() const { return exchanges_; }
    /// A name that the base has without the wrapper; empty where there was none.
    const std::string& wrapped() const { return wrapped_; }

private:
    const Checkpoint& checkpoint_;
    TensorNames names_;
    PrefixRule rule_;
    std::map<std::string, const TensorEntry*> other_names_;
    std::set<std::pair<std::string, std::string>> exchanges_;
    std::string wrapped_;
};

}  // namespace anamnesis::checkpoint
