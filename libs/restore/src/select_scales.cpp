// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"

#include "lost_scales.hpp"
#include "select_rows.hpp"
#include "splices.hpp"

namespace anamnesis::restore {
namespace {

/// The rows of the scale tensor that follow the replaced rows of their weight.
/// Errors: `unsupported` where one scale serves replaced rows and others.
std::vector<RowSplice> follow_rows(const TensorChange& change,
                                   const checkpoint::ScaleTensor& scale) {
    std::vector<RowSplice> splices;
    const std::uint64_t block = scale.rows_per_block;
    const std::uint64_t weight_rows = change.post->rows();
    std::vector<bool> is_taken(weight_rows, false);
    std::vector<std::uint64_t> pre_rows(weight_rows, 0);
    std::vector<checkpoint::RowRole> roles(weight_rows, checkpoint::RowRole::query);
    for (const RowSplice& splice : change.splices) {
        for (std::uint64_t row = splice.rows.begin; row < splice.rows.end; ++row) {
            is_taken[row] = true;
            pre_rows[row] = splice.pre_row + (row - splice.rows.begin);
            roles[row] = splice.role;
        }
    }
    for (std::uint64_t begin = 0; begin < weight_rows; begin += block) {
        const std::uint64_t end = std::min(begin + block, weight_rows);
        const auto taken = std::count(is_taken.begin() + static_cast<std::ptrdiff_t>(begin),
                                      is_taken.begin() + static_cast<std::ptrdiff_t>(end),
                                      true);
        if (taken == 0) {
            continue;
        }
        if (static_cast<std::uint64_t>(taken) != end - begin || pre_rows[begin] % block != 0) {
            throw Error(ErrorKind::unsupported,
                        format("scale tensor {}: its row {} scales rows {}..{} of {}, of which "
                               "only some are repaired; no byte-exact answer exists: "
                               "dequantise both checkpoints first",
                               in_quotes(scale.tensor->name),
                               begin / block,
                               begin,
                               end,
                               in_quotes(change.post->name)));
        }
        append_rows(
            splices, {begin / block, begin / block + 1}, pre_rows[begin] / block, roles[begin]);
    }
    return splices;
}

/// How the rows of a weight get into post's storage.
enum class Way : std::uint8_t {
    copy,      ///< bytes of rows, and of scales where there are any
    convert,   ///< values, rounded once to post's type
    quantise,  ///< values, rounded to 8-bit floats under new scales
    refuse,    ///< a scale is missing on one side
};

struct Scales {
    std::optional<checkpoint::ScaleTensor> pre{};
    std::optional<checkpoint::ScaleTensor> post{};
};

bool are_alike(const checkpoint::ScaleTensor& pre, const checkpoint::ScaleTensor& post) {
    return pre.rows_per_block == post.rows_per_block &&
           pre.columns_per_block == post.columns_per_block &&
           pre.tensor->shape == post.tensor->shape && pre.tensor->dtype == post.tensor->dtype;
}

Way find_way(const TensorChange& change, const Scales& scales) {
    const bool is_pre_scaled = checkpoint::is_scaled(change.pre->dtype);
    const bool is_post_scaled = checkpoint::is_scaled(change.post->dtype);
    if (!is_pre_scaled && !is_post_scaled) {
        // A scale of a type that is no 8-bit float follows its weight as it is.
        return scales.pre || scales.post ? (scales.pre && scales.post ? Way::copy : Way::refuse)
                                         : Way::copy;
    }
    if (is_pre_scaled && is_post_scaled) {
        if (scales.pre.has_value() != scales.post.has_value()) {
            return Way::refuse;
        }
        if (change.pre->dtype == change.post->dtype &&
            (!scales.pre || are_alike(*scales.pre, *scales.post))) {
            return Way::copy;
        }
        return scales.post ? Way::quantise : Way::convert;
    }
    // Values of a plain cast are what they are; a scale that was lost is not known to be lost.
    return is_post_scaled && scales.post ? Way::quantise : Way::convert;
}

/// Rows that go into another storage need the values of the scales on their way.
/// Errors: `unsupported`, naming the scale.
void refuse_unreadable(const TensorChange& change, const Scales& scales) {
    for (const auto* scale : {&scales.pre, &scales.post}) {
        if (*scale) {
            if (std::string why = checkpoint::describe_unreadable(**scale); !why.empty()) {
                throw Error(
                    ErrorKind::unsupported,
                    format("{} ({} goes into another storage)", why, in_quotes(change.post->name)));
            }
        }
    }
}

/// Errors: `unsupported` where the scales of post's matrices are of another kind than blocks of a
/// matrix.
void refuse_stack(const TensorChange& change, const checkpoint::ScaleTensor& scale) {
    if (scale.columns_per_block == 0) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} is a stack of matrices with scales of shape {}, into which "
                           "values are not requantised: dequantise post first",
                           in_quotes(change.post->name),
                           anamnesis::to_string(scale.tensor->shape)));
    }
}

/// What a refusal says of scales that only one side has: the first by name, and how many.
std::string describe_one_sided(const std::vector<std::pair<const TensorChange*, Scales>>& found) {
    const auto& [change, scales] = found.front();
    const bool has_pre = scales.pre.has_value();
    const auto& scale = has_pre ? *scales.pre : *scales.post;
    return format(
        "scale tensor {} is in {} and not in {}{}: the rows of {} mean nothing without "
        "their scale; save {} again with every scale",
        in_quotes(scale.tensor->name),
        has_pre ? "pre" : "post",
        has_pre ? "post" : "pre",
        found.size() == 1 ? std::string() : format(", and {} more like it", found.size() - 1),
        in_quotes(change->post->name),
        has_pre ? "post" : "pre");
}

/// Whether other 8-bit floats of the checkpoint have scales: then one without has lost it.
bool has_any_scale(const RecognisedCheckpoint& source) {
    return std::ranges::any_of(source.checkpoint.tensors(), [](const auto& tensor) {
        return tensor.name.ends_with("weight_scale") || tensor.name.ends_with("weight_scale_inv");
    });
}

TensorChange make_follower(const TensorChange& change,
                           const checkpoint::ScaleTensor& post,
                           const checkpoint::TensorEntry* pre,
                           RowSource source) {
    TensorChange follower;
    follower.post = post.tensor;
    follower.pre = pre;
    follower.layer = change.layer;
    follower.part = "scale";
    follower.splices = follow_rows(change, post);
    for (RowSplice& splice : follower.splices) {
        splice.source = source;
    }
    return follower;
}

/// What is wrong with a side whose 8-bit floats have no scale; empty: nothing.
std::string find_loss(const PlacedWeight& own,
                      const std::optional<checkpoint::ScaleTensor>& scale,
                      const PlacedWeight& other,
                      bool others_have_scales,
                      std::string_view side) {
    if (!checkpoint::is_scaled(own.tensor.dtype) || scale) {
        return {};
    }
    const std::string why = others_have_scales ? "others have one" : find_lost_scale(own, other);
    return why.empty() ? std::string()
                       : format("tensor {} is {} in {} and has no scale: {}",
                                in_quotes(own.tensor.name),
                                to_string(own.tensor.dtype),
                                side,
                                why);
}

void note_conversions(const std::vector<std::string>& converted,
                      const std::vector<std::string>& quantised,
                      std::vector<checkpoint::Finding>& findings) {
    if (!converted.empty()) {
        findings.push_back(checkpoint::make_finding(
            "dequantised_rows",
            checkpoint::Severity::note,
            converted,
            format("rows of {} tensors are dequantised from pre and rounded once to post's type, "
                   "such as those of {}",
                   converted.size(),
                   in_quotes(converted.front()))));
    }
    if (!quantised.empty()) {
        findings.push_back(checkpoint::make_finding(
            "requantised_rows",
            checkpoint::Severity::note,
            quantised,
            format("rows of {} tensors are requantised: pre's values, rounded to nearest under new "
                   "scales of post's blocks (largest value / largest of the type), such as those "
                   "of {}",
                   quantised.size(),
                   in_quotes(quantised.front()))));
    }
}

}  // namespace

std::vector<TensorChange> select_scales(const RecognisedCheckpoint& pre,
                                        const RecognisedCheckpoint& post,
                                        std::vector<TensorChange>& changes,
                                        std::vector<std::string>& problems,
                                        std::vector<checkpoint::Finding>& findings) {
    std::vector<TensorChange> followers;
    std::vector<std::string> converted;
    std::vector<std::string> quantised;
    std::vector<std::pair<const TensorChange*, Scales>> one_sided;
    const bool pre_has_scales = has_any_scale(pre);
    const bool post_has_scales = has_any_scale(post);
    for (TensorChange& change : changes) {
        const Scales scales{.pre = checkpoint::find_scale(pre.checkpoint, change.pre->name),
                            .post = checkpoint::find_scale(post.checkpoint, change.post->name)};
        const PlacedWeight of_pre{.checkpoint = pre.checkpoint, .tensor = *change.pre};
        const PlacedWeight of_post{.checkpoint = post.checkpoint, .tensor = *change.post};
        std::string loss = find_loss(of_pre, scales.pre, of_post, pre_has_scales, "pre");
        if (loss.empty()) {
            loss = find_loss(of_post, scales.post, of_pre, post_has_scales, "post");
        }
        const Way way = find_way(change, scales);
        if (way == Way::refuse) {
            one_sided.emplace_back(&change, scales);
        } else if (!loss.empty()) {
            problems.push_back(std::move(loss));
        } else if (way == Way::copy && scales.post) {
            followers.push_back(
                make_follower(change, *scales.post, scales.pre->tensor, RowSource::pre));
        } else if (way == Way::convert) {
            refuse_unreadable(change, scales);
            change.pre_scale = scales.pre;
            converted.push_back(change.post->name);
        } else if (way == Way::quantise) {
            refuse_unreadable(change, scales);
            refuse_stack(change, *scales.post);
            change.pre_scale = scales.pre;
            change.post_scale = scales.post;
            followers.push_back(
                make_follower(change, *scales.post, scales.post->tensor, RowSource::computed));
            quantised.push_back(change.post->name);
        }
    }
    if (!one_sided.empty()) {
        problems.push_back(describe_one_sided(one_sided));
    }
    note_conversions(converted, quantised, findings);
    return followers;
}

}  // namespace anamnesis::restore
