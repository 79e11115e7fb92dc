// SPDX-License-Identifier: Apache-2.0
#include "plan_warnings.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "planned_shape.hpp"
#include "tensor_groups.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// "tensor 'x'", "tensors 'x', 'y'", "tensors 'x', 'y', 'z' and 5 more"
std::string list_tensors(const std::vector<std::string>& names) {
    return format("{} {}", names.size() == 1 ? "tensor" : "tensors", list_examples(names));
}

/// What a shape is beside the expected one.
std::string_view describe_misfit(const Shape& expected, const Shape& found) {
    if (expected.size() == 2 && found.size() == 2 && expected[0] != expected[1] &&
        expected[0] == found[1] && expected[1] == found[0]) {
        return ", which is the transpose";
    }
    for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i) {
        if (expected[i] != 0 && found[i] != 0 && expected[i] != found[i] &&
            expected[i] % found[i] == 0) {
            return ", which is a part of it (a shard of tensor parallelism?)";
        }
    }
    return "";
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

    std::vector<Finding> run() {
        for (const PlannedTensor& tensor : blueprint_.tensors) {
            planned_.insert(tensor.name);
            planned_.insert(tensor.other_names.begin(), tensor.other_names.end());
            if (!is_checked_elsewhere(tensor)) {
                compare(tensor);
            }
        }
        const std::vector<std::string> surplus = find_surplus();
        if (!missing_.empty()) {
            findings_.push_back(make_finding(
                "missing_tensors",
                Severity::error,
                missing_,
                format("the checkpoint lacks {}", list_tensors(missing_)),
                "loaders fill what is missing with random values: fetch or save the checkpoint "
                "again"));
        }
        if (!misshapen_.empty()) {
            findings_.push_back(make_finding(
                "wrong_shapes",
                Severity::error,
                misshapen_,
                misshapen_.size() == 1
                    ? first_misfit_
                    : format("{} tensors have other shapes than the config says: {}; the first {}",
                             misshapen_.size(),
                             list_examples(misshapen_),
                             first_misfit_)));
        }
        if (!surplus.empty()) {
            findings_.push_back(make_finding("unused_tensors",
                                             Severity::warning,
                                             surplus,
                                             format("the family {} has no use for {}",
                                                    in_quotes(blueprint_.family),
                                                    list_tensors(surplus))));
        }
        return std::move(findings_);
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
            // Empty tensors have a finding of their own.
            const bool is_empty = find_element_count(stored->shape) == 0U;
            if (!is_empty && !fits(tensor.shape) &&
                std::ranges::none_of(tensor.other_shapes, fits)) {
                if (misshapen_.empty()) {
                    first_misfit_ = format("tensor {} has shape {}, expected {}{}",
                                           in_quotes(stored->name),
                                           anamnesis::to_string(stored->shape),
                                           describe_shape(tensor.shape),
                                           describe_misfit(tensor.shape, stored->shape));
                }
                misshapen_.push_back(stored->name);
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
    std::vector<std::string> misshapen_;
    std::string first_misfit_;
    std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> compare_with_plan(const Blueprint& blueprint, const TensorNames& names) {
    return Comparison(blueprint, names).run();
}

}  // namespace anamnesis::checkpoint
