// SPDX-License-Identifier: Apache-2.0
#include "weight_faults.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "layer_sisters.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Ends of names beside or in place of weights that a packing tool has rewritten.
constexpr std::array<std::string_view, 10> packed_ends{".qweight",
                                                       ".weight.absmax",
                                                       ".SCB",
                                                       ".weight_packed",
                                                       "_blocks",
                                                       ".weight_scale_2",
                                                       ".qzeros",
                                                       ".weight_shape",
                                                       "_scale_inv",
                                                       "_scale"};

bool is_packed_name(std::string_view name) {
    return std::ranges::any_of(packed_ends,
                               [&](std::string_view end) { return name.ends_with(end); });
}

/// Types that only quantised weights have.
bool is_quantised_type(DType dtype) {
    switch (dtype) {
        using enum DType;
        case f4:
        case f6_e2m3:
        case f6_e3m2:
        case f8_e8m0:
        case i8:
        case u8:
            return true;
        default:
            return is_scaled(dtype);
    }
}

void find_twins(const TensorNames& names, Model& model) {
    std::vector<std::string> twins;
    const TensorEntry* first = nullptr;
    const TensorEntry* second = nullptr;
    for (const auto& [name, entries] : names.by_name()) {
        if (entries.size() > 1) {
            twins.push_back(entries.back()->name);
            if (first == nullptr) {
                first = entries.front();
                second = entries[1];
            }
        }
    }
    if (!twins.empty()) {
        model.findings.push_back(make_finding(
            "stored_twice",
            Severity::warning,
            twins,
            format("{} weight{} stored twice under two prefixes, such as {} and {}: a loader takes "
                   "one of them, and they may differ",
                   twins.size(),
                   twins.size() == 1 ? " is" : "s are",
                   in_quotes(first->name),
                   in_quotes(second->name)),
            "keep the copy that the model was trained with and remove the other"));
    }
}

class Scales {
public:
    explicit Scales(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
        for (const TensorEntry& tensor : checkpoint.tensors()) {
            is_scaled(tensor.dtype) ? look_at_weight(tensor) : look_at_scale(tensor);
        }
    }

    void add_to(Model& model) const {
        if (!without_.empty() && scaled_ > 0) {
            model.findings.push_back(make_finding(
                "scale_missing",
                Severity::error,
                without_,
                format("{} of {} FP8 tensors {} no scale, such as {}: their values mean nothing "
                       "without one",
                       without_.size(),
                       without_.size() + scaled_,
                       without_.size() == 1 ? "has" : "have",
                       list_examples(without_)),
                "save the checkpoint again with every scale"));
        } else if (!without_.empty()) {
            model.findings.push_back(make_finding(
                "fp8_without_scales",
                Severity::warning,
                without_,
                format("{} FP8 tensor{} no scale, such as {}: a plain cast, whose small values are "
                       "lost",
                       without_.size(),
                       without_.size() == 1 ? " has" : "s have",
                       list_examples(without_))));
        }
        if (!orphans_.empty()) {
            model.findings.push_back(make_finding(
                "scale_without_weight",
                Severity::warning,
                orphans_,
                format("{} scale tensor{} to no FP8 weight, such as {}",
                       orphans_.size(),
                       orphans_.size() == 1 ? " belongs" : "s belong",
                       list_examples(orphans_)),
                "remove the scales that were left from before the weights were converted"));
        }
        if (!misfits_.empty()) {
            model.findings.push_back(
                make_finding("scale_shape", Severity::error, misfits_, first_misfit_));
        }
        if (!unreadable_.empty()) {
            model.findings.push_back(
                make_finding("scale_type", Severity::error, unreadable_, first_unreadable_));
        }
    }

private:
    void look_at_weight(const TensorEntry& tensor) {
        try {
            const auto scale = find_scale(checkpoint_, tensor.name);
            scale ? void(++scaled_) : without_.push_back(tensor.name);
            if (scale && !scale->value_type) {
                auto& names = scale->is_ambiguous ? misfits_ : unreadable_;
                auto& first = scale->is_ambiguous ? first_misfit_ : first_unreadable_;
                first = names.empty() ? describe_unreadable(*scale) : first;
                names.push_back(scale->tensor->name);
            }
        } catch (const Error& error) {
            ++scaled_;
            first_misfit_ = misfits_.empty() ? error.message() : first_misfit_;
            misfits_.push_back(tensor.name);
        }
    }

    void look_at_scale(const TensorEntry& tensor) {
        const bool is_scale =
            tensor.name.ends_with(".weight_scale") || tensor.name.ends_with(".weight_scale_inv");
        const auto weight = is_scale ? find_weight_of_scale(tensor.name) : std::nullopt;
        if (!weight) {
            return;
        }
        const TensorEntry* scaled = checkpoint_.find(*weight);
        const bool is_packed = checkpoint_.find(*weight + "_packed") != nullptr;
        if (!is_packed && (scaled == nullptr || is_arithmetic(scaled->dtype))) {
            orphans_.push_back(tensor.name);
        }
    }

    const Checkpoint& checkpoint_;
    std::size_t scaled_ = 0;
    std::vector<std::string> without_;
    std::vector<std::string> orphans_;
    std::vector<std::string> misfits_;
    std::string first_misfit_;
    std::vector<std::string> unreadable_;
    std::string first_unreadable_;
};

/// The stated quantisation, of the text model or the whole.
const Json* find_quantisation(const Json& config) {
    for (const Json* object : {&config, config.find("text_config")}) {
        for (const std::string_view key : {"quantization_config", "compression_config"}) {
            const Json* value = object == nullptr ? nullptr : object->find(key);
            if (value != nullptr && value->is_object()) {
                return value;
            }
        }
    }
    return nullptr;
}

std::string describe_method(const Json& quantisation) {
    const Json* method = quantisation.find("quant_method");
    return method != nullptr && method->is_string() ? method->as_string("quant_method")
                                                    : std::string("(no quant_method)");
}

void compare_quantisation(const Checkpoint& checkpoint, Model& model) {
    const Json* stated = find_quantisation(checkpoint.config());
    const auto& tensors = checkpoint.tensors();
    const bool is_quantised = std::ranges::any_of(tensors, [](const TensorEntry& tensor) {
        return is_quantised_type(tensor.dtype) || is_packed_name(tensor.name);
    });
    if (stated != nullptr && !is_quantised && !tensors.empty()) {
        std::map<std::string_view, std::uint64_t> bytes;
        for (const TensorEntry& tensor : tensors) {
            bytes[to_string(tensor.dtype)] += tensor.bytes;
        }
        const auto most =
            std::ranges::max_element(bytes, {}, [](const auto& item) { return item.second; });
        model.findings.push_back(make_finding(
            "quantization_leftover",
            Severity::warning,
            {"config.json"},
            format("config.json says quantization_config {}, but the weights are {}: loaders will "
                   "try to quantise or refuse",
                   describe_method(*stated),
                   most->first),
            "remove quantization_config from config.json; --fix-config leaves it out of a repaired "
            "copy"));
    }
    const bool has_fp8 = std::ranges::any_of(
        tensors, [](const TensorEntry& tensor) { return is_scaled(tensor.dtype); });
    if (stated == nullptr && has_fp8 && !checkpoint.config().is_null()) {
        model.findings.push_back(make_finding(
            "quantization_undeclared",
            Severity::warning,
            {"config.json"},
            "the weights are FP8, but config.json has no quantization_config: loaders do not apply "
            "the scales"));
    }
}

}  // namespace

void find_weight_faults(const Checkpoint& checkpoint, const TensorNames& names, Model& model) {
    find_twins(names, model);
    Scales(checkpoint).add_to(model);
    compare_quantisation(checkpoint, model);
    if (!model.blueprint->is_complete || checkpoint.config().is_null()) {
        find_missing_sisters(names, model);
    }
}

}  // namespace anamnesis::checkpoint
