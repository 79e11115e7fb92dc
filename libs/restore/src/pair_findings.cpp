// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/pair_findings.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/restore/plan.hpp"

#include "container_view.hpp"
#include "kind_relation.hpp"
#include "pairing.hpp"
#include "row_relation.hpp"
#include "scale_values.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::canonical_name;
using checkpoint::Finding;
using checkpoint::list_examples;
using checkpoint::make_finding;
using checkpoint::Severity;
using checkpoint::TensorEntry;
using checkpoint::TensorGroup;

constexpr std::string_view ask_for_weights =
    "loaders fill what is missing with random values: save or fetch post again";

/// Tables that follow from the config.
bool is_buffer_name(std::string_view name) {
    return name.ends_with("inv_freq") || name.ends_with(".slope_rate") ||
           name.ends_with(".masked_bias") || name.ends_with("_cached");
}

/// Whether the config, or the family, says that the head is the embedding.
bool states_tied_head(const RecognisedCheckpoint& source) {
    const Json* stated = source.checkpoint.config().find("tie_word_embeddings");
    if (stated == nullptr) {
        if (const Json* text = source.checkpoint.config().find("text_config")) {
            stated = text->find("tie_word_embeddings");
        }
    }
    if (stated != nullptr && stated->is_boolean()) {
        return stated->as_boolean("tie_word_embeddings");
    }
    return source.model.blueprint != nullptr &&
           source.model.blueprint->is_head_tied.value_or(false);
}

/// The module that holds the module of a tensor, less the numbers of experts: where the same
/// weights may be stored in another way ("layers.3.mlp.experts" of "layers.3.mlp.experts.5.up_proj.
/// weight" and of "layers.3.mlp.experts.gate_up_proj"). Empty for what lies right in a layer.
std::string find_module_around(std::string_view canonical) {
    std::vector<std::string> parts = split(canonical, '.');
    if (parts.size() > 1 && (parts.back() == "weight" || parts.back() == "bias")) {
        parts.pop_back();
    }
    const auto is_number = [](const std::string& part) {
        return !part.empty() && std::ranges::all_of(part, [](char c) {
            return std::isdigit(static_cast<unsigned char>(c)) != 0;
        });
    };
    if (!parts.empty()) {
        parts.pop_back();
    }
    while (!parts.empty() && is_number(parts.back())) {
        parts.pop_back();
    }
    return parts.size() < 3 ? std::string() : join(parts, ".");
}

class PairComparison {
public:
    PairComparison(const RecognisedCheckpoint& pre,
                   const RecognisedCheckpoint& post,
                   const Pairing& pairing)
        : pre_(pre), post_(post), pairing_(pairing), of_post_(pairing.list_names(post)) {}

    void run(std::vector<Finding>& findings) {
        for (const TensorEntry& tensor : post_.checkpoint.tensors()) {
            look_at_post(tensor);
        }
        for (const TensorEntry& tensor : pre_.checkpoint.tensors()) {
            look_at_pre(tensor);
        }
        add_missing(findings);
        add_shapes(findings);
        add_storage(findings);
        add_names(findings);
    }

private:
    static bool is_scale(const TensorEntry& tensor) {
        return checkpoint::find_scaled_weight(tensor.name).has_value();
    }
    void look_at_post(const TensorEntry& tensor) {
        const TensorEntry* counterpart = pairing_.find_pre(tensor.name);
        if (counterpart == nullptr) {
            if (!is_scale(tensor) && !is_buffer_name(tensor.name)) {
                surplus_.push_back(tensor.name);
                surplus_modules_.insert(find_module_around(canonical_name(tensor.name)));
            }
            return;
        }
        // A twin has a finding of its own; what it holds is not compared.
        if (!matched_.insert(counterpart).second && counterpart->name != tensor.name) {
            return;
        }
        if (!is_scale(tensor)) {
            compare(*counterpart, tensor);
        }
        if (pre_.checkpoint.find(tensor.name) == nullptr &&
            post_.checkpoint.find(counterpart->name) != nullptr) {
            return;
        }
        const std::string before = checkpoint::clean_name(counterpart->name);
        const std::string after = checkpoint::clean_name(tensor.name);
        // A nested prefix is post's own; what it hides is compared as it is written.
        const bool is_nested = after != tensor.name && counterpart->name == before;
        if (before != after || (is_nested && !is_only_wrapped(tensor.name, after))) {
            note_prefixes(counterpart->name, tensor.name);
        }
    }

    /// A wrapper has a finding of its own; a nested prefix is shown beside pre's.
    static bool is_only_wrapped(const std::string& name, const std::string& clean) {
        return canonical_name(name) == canonical_name(clean) &&
               name.find("language_model.language_model") == std::string::npos;
    }

    void note_prefixes(const std::string& before, const std::string& after) {
        const std::string canonical = canonical_name(after);
        if (canonical.size() >= after.size() || !after.ends_with(canonical) ||
            !before.ends_with(canonical)) {
            return;
        }
        prefixes_.emplace(before.substr(0, before.size() - canonical.size()),
                          after.substr(0, after.size() - canonical.size()));
        renamed_.push_back(after);
    }

    void compare(const TensorEntry& before, const TensorEntry& after) {
        if (before.bytes == 0 || after.bytes == 0) {
            return;
        }
        if (before.shape != after.shape && !is_other_vocabulary(before, after) &&
            !is_planned_twice(before, after)) {
            if (misshapen_.empty()) {
                first_misfit_ = describe_misfit(before, after);
            }
            misshapen_.push_back(after.name);
        }
        if (before.dtype != after.dtype) {
            types_[{before.dtype, after.dtype}].push_back(after.name);
        }
        if (checkpoint::is_scaled(before.dtype) && checkpoint::is_scaled(after.dtype)) {
            compare_scales(before, after);
        }
    }

    /// Embeddings and heads may have other numbers of rows.
    bool is_other_vocabulary(const TensorEntry& before, const TensorEntry& after) const {
        const auto group = checkpoint::classify_tensor(post_.model, after.name);
        return (group == TensorGroup::embedding || group == TensorGroup::head) &&
               before.shape.size() == after.shape.size() && before.columns() == after.columns();
    }

    /// Both shapes are ones that the family's libraries write.
    bool is_planned_twice(const TensorEntry& before, const TensorEntry& after) const {
        const auto* planned = post_.model.blueprint == nullptr
                                  ? nullptr
                                  : post_.model.blueprint->find_named(canonical_name(after.name));
        if (planned == nullptr || planned->other_shapes.empty()) {
            return false;
        }
        const auto is_planned = [&](const Shape& shape) {
            return planned->shape == shape ||
                   std::ranges::find(planned->other_shapes, shape) != planned->other_shapes.end();
        };
        return is_planned(before.shape) && is_planned(after.shape);
    }

    static std::string describe_misfit(const TensorEntry& before, const TensorEntry& after) {
        std::string why;
        const Shape& a = before.shape;
        const Shape& b = after.shape;
        if (a.size() == 2 && b.size() == 2 && a[0] == b[1] && a[1] == b[0]) {
            why = ", which is the transpose";
        } else if (find_element_count(b) != 0U &&
                   find_element_count(a).value_or(0) % find_element_count(b).value_or(1) == 0) {
            why = ", which is a part of it (a shard of tensor parallelism?)";
        }
        return format("tensor {} has shape {} in pre and {} in post{}",
                      in_quotes(after.name),
                      anamnesis::to_string(a),
                      anamnesis::to_string(b),
                      why);
    }

    void compare_scales(const TensorEntry& before, const TensorEntry& after) {
        const auto has_scale = [](const RecognisedCheckpoint& source, const std::string& name) {
            return source.checkpoint.find(name + "_scale") != nullptr ||
                   source.checkpoint.find(name + "_scale_inv") != nullptr;
        };
        const bool has_before = has_scale(pre_, before.name);
        if (has_before != has_scale(post_, after.name)) {
            one_sided_.push_back(has_before ? before.name : after.name);
            sides_.insert(has_before ? "pre" : "post");
        }
    }

    void look_at_pre(const TensorEntry& tensor) {
        if (matched_.contains(&tensor) || is_scale(tensor) || is_buffer_name(tensor.name)) {
            return;
        }
        const std::string canonical = canonical_name(tensor.name);
        // A twin of a tensor that has its counterpart, or another user's copy of a shared block.
        if (pairing_.holds(of_post_, canonical)) {
            return;
        }
        const auto group = checkpoint::classify_tensor(pre_.model, tensor.name);
        if (group == TensorGroup::head && states_tied_head(post_)) {
            return;
        }
        const auto layer = checkpoint::find_layer(tensor.name);
        const bool is_draft =
            canonical.starts_with("mtp.") || (layer && layer->value >= pre_.model.layers.size());
        const std::string around = find_module_around(canonical);
        if (is_draft) {
            draft_.push_back(tensor.name);
        } else if (!around.empty() && surplus_modules_.contains(around)) {
            restored_.push_back(tensor.name);
        } else {
            missing_.push_back(tensor.name);
        }
    }

    void add_missing(std::vector<Finding>& findings) const {
        if (!missing_.empty()) {
            findings.push_back(make_finding(
                "missing_in_post",
                Severity::error,
                missing_,
                format("{} in pre and not in post: {}",
                       missing_.size() == 1 ? std::string("a tensor is")
                                            : format("{} tensors are", missing_.size()),
                       list_examples(missing_)),
                std::string(ask_for_weights)));
        }
        if (!draft_.empty()) {
            findings.push_back(make_finding(
                "draft_head_lost",
                Severity::warning,
                draft_,
                format("the draft head of pre is not in post: {}", list_examples(draft_)),
                "speculative decoding with it will not work"));
        }
        if (!restored_.empty()) {
            findings.push_back(make_finding(
                "stored_otherwise",
                Severity::note,
                restored_,
                format("{} tensors of pre are stored in another way in post, such as {} (fused or "
                       "apart): they are not compared",
                       restored_.size(),
                       list_examples(restored_))));
        } else if (!surplus_.empty()) {
            findings.push_back(make_finding(
                "surplus_in_post",
                Severity::note,
                surplus_,
                format("{} in post and not in pre: {}",
                       surplus_.size() == 1 ? std::string("a tensor is")
                                            : format("{} tensors are", surplus_.size()),
                       list_examples(surplus_))));
        }
    }

    void add_shapes(std::vector<Finding>& findings) const {
        if (!misshapen_.empty()) {
            findings.push_back(make_finding(
                "shape_differs",
                Severity::error,
                misshapen_,
                misshapen_.size() == 1
                    ? first_misfit_
                    : format("{} tensors have other shapes in post than in pre: {}; the first: {}",
                             misshapen_.size(),
                             list_examples(misshapen_),
                             first_misfit_)));
        }
    }

    void add_storage(std::vector<Finding>& findings) const {
        for (const auto& [types, names] : types_) {
            findings.push_back(make_finding("dtype_differs",
                                            Severity::note,
                                            names,
                                            format("{} tensor{} {} in pre and {} in post: {}",
                                                   names.size(),
                                                   names.size() == 1 ? " is" : "s are",
                                                   to_string(types.first),
                                                   to_string(types.second),
                                                   list_examples(names))));
        }
        if (!one_sided_.empty()) {
            findings.push_back(make_finding(
                "scale_on_one_side",
                Severity::error,
                one_sided_,
                format("{} FP8 tensor{} a scale in {} alone: {}; rows without their scale have "
                       "other values",
                       one_sided_.size(),
                       one_sided_.size() == 1 ? " has" : "s have",
                       sides_.size() == 1 ? *sides_.begin() : std::string("pre or post"),
                       list_examples(one_sided_)),
                "save the side that lacks scales again"));
        }
    }

    void add_names(std::vector<Finding>& findings) const {
        if (prefixes_.empty()) {
            return;
        }
        const auto& [before, after] = *prefixes_.begin();
        const Json* of_pre = pre_.checkpoint.config().find("architectures");
        const Json* of_post = post_.checkpoint.config().find("architectures");
        const bool is_one_class = of_pre != nullptr && of_post != nullptr && *of_pre == *of_post;
        findings.push_back(make_finding(
            "other_prefix",
            is_one_class ? Severity::warning : Severity::note,
            renamed_,
            format("{} of post's tensors are named {}…, pre's {}…{}",
                   renamed_.size(),
                   after,
                   before.empty() ? std::string("without prefix ") : before,
                   is_one_class ? ": a loader of the same class finds only one of these" : ""),
            is_one_class ? "rename post's tensors, or write a repaired copy with --clean-names"
                         : ""));
    }

    const RecognisedCheckpoint& pre_;
    const RecognisedCheckpoint& post_;
    const Pairing& pairing_;
    std::unordered_set<std::string> of_post_;
    std::unordered_set<const TensorEntry*> matched_;
    std::vector<std::string> surplus_;
    std::set<std::string> surplus_modules_;
    std::vector<std::string> missing_;
    std::vector<std::string> draft_;
    std::vector<std::string> restored_;  ///< in another way
    std::vector<std::string> misshapen_;
    std::string first_misfit_;
    std::map<std::pair<DType, DType>, std::vector<std::string>> types_;
    std::vector<std::string> one_sided_;
    std::set<std::string> sides_;
    std::set<std::pair<std::string, std::string>> prefixes_;
    std::vector<std::string> renamed_;
};

}  // namespace

std::vector<Finding> find_pair_findings(const RecognisedCheckpoint& pre,
                                        const RecognisedCheckpoint& post) {
    const Pairing pairing(pre, post);
    std::vector<Finding> findings;
    is_view(pre) ? void() : PairComparison(pre, post, pairing).run(findings);
    find_row_relation(pre, post, pairing, findings);
    find_scale_ratio(pre, post, pairing, findings);
    find_kind_relation(pre, post, findings);
    std::vector<Finding> of_pair;
    append_findings(of_pair, findings, "pair");
    return of_pair;
}

}  // namespace anamnesis::restore
