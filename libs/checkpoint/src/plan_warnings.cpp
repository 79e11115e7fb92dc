// SPDX-License-Identifier: Apache-2.0
#include "plan_warnings.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "planned_shape.hpp"
#include "tensor_groups.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// How many tensors are named, of those that are missing or not used.
constexpr std::size_t most_named = 3;

/// "tensor 'x'", "tensors 'x', 'y'", "tensors 'x', 'y', 'z' and 5 more"
std::string list_tensors(const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (std::size_t i = 0; i < std::min(names.size(), most_named); ++i) {
        quoted.push_back(in_quotes(names[i]));
    }
    return format("{} {}{}",
                  names.size() == 1 ? "tensor" : "tensors",
                  join(quoted, ", "),
                  names.size() <= most_named ? std::string()
                                             : format(" and {} more", names.size() - most_named));
}

class Comparison {
public:
    Comparison(const Blueprint& blueprint, const TensorNames& names)
        : blueprint_(blueprint), names_(names) {
        for (const PlannedTensor& tensor : blueprint.tensors) {
            if (tensor.storage == Storage::stacked && find_stored(tensor) != nullptr) {
                stacked_layers_.insert(tensor.layer->value);
            }
        }
    }

    std::vector<std::string> run() {
        for (const PlannedTensor& tensor : blueprint_.tensors) {
            planned_.insert(tensor.name);
            planned_.insert(tensor.other_names.begin(), tensor.other_names.end());
            if (!is_checked_elsewhere(tensor)) {
                compare(tensor);
            }
        }
        const std::vector<std::string> surplus = find_surplus();
        if (!missing_.empty()) {
            warnings_.push_back(format("the checkpoint lacks {}", list_tensors(missing_)));
        }
        if (!surplus.empty()) {
            warnings_.push_back(format("the family {} has no use for {}",
                                       in_quotes(blueprint_.family),
                                       list_tensors(surplus)));
        }
        return std::move(warnings_);
    }

private:
    bool is_checked_elsewhere(const PlannedTensor& tensor) const {
        return tensor.attention || tensor.role == role::embedding || tensor.role == role::head;
    }

    const TensorEntry* find_stored(const PlannedTensor& tensor) const {
        if (const TensorEntry* stored = names_.find(tensor.name)) {
            return stored;
        }
        for (const std::string& name : tensor.other_names) {
            if (const TensorEntry* stored = names_.find(name)) {
                return stored;
            }
        }
        return nullptr;
    }

    void compare(const PlannedTensor& tensor) {
        if (const TensorEntry* stored = find_stored(tensor)) {
            const auto fits = [&](const Shape& shape) { return fits_shape(shape, stored->shape); };
            if (!fits(tensor.shape) && std::ranges::none_of(tensor.other_shapes, fits)) {
                warnings_.push_back(format("tensor {} has shape {}, expected {}",
                                           in_quotes(stored->name),
                                           to_string(stored->shape),
                                           describe_shape(tensor.shape)));
            }
        } else if (is_missed(tensor)) {
            missing_.push_back(names_.full_name(tensor.name));
        }
    }

    bool is_missed(const PlannedTensor& tensor) const {
        if (tensor.presence != Presence::required || tensor.storage == Storage::stacked) {
            return false;
        }
        if (!tensor.layer) {
            return true;
        }
        const std::uint32_t layer = tensor.layer->value;
        const bool is_stacked =
            tensor.storage == Storage::separate && stacked_layers_.contains(layer);
        return !is_stacked && names_.layers().contains(layer);
    }

    /// Names within declared layers that no one asks for.
    std::vector<std::string> find_surplus() const {
        std::vector<std::string> surplus;
        for (const auto& [name, entries] : names_.by_name()) {
            const auto numbered = find_numbered(name);
            if (numbered && numbered->container == "layers" &&
                numbered->number < blueprint_.layers.size() && !planned_.contains(name) &&
                !find_weight_of_scale(name) && !is_buffer(numbered->rest)) {
                surplus.push_back(entries.front()->name);
            }
        }
        return surplus;
    }

    const Blueprint& blueprint_;
    const TensorNames& names_;
    std::set<std::uint32_t> stacked_layers_;
    std::set<std::string, std::less<>> planned_;
    std::vector<std::string> missing_;
    std::vector<std::string> warnings_;
};

}  // namespace

std::vector<std::string> compare_with_plan(const Blueprint& blueprint, const TensorNames& names) {
    return Comparison(blueprint, names).run();
}

}  // namespace anamnesis::checkpoint
