// SPDX-License-Identifier: Apache-2.0
#include "scale_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "lost_scales.hpp"
#include "pairing.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;
using checkpoint::RecognisedCheckpoint;
using checkpoint::ScaleTensor;
using checkpoint::Severity;
using checkpoint::TensorEntry;

/// A fine-tune changes the size of a matrix by a few per cent. A scale that was lost, taken twice
/// or inverted changes it by a thousand or more: the largest weight is 0.1 to 1, that of E4M3 448.
constexpr double most_ratio = 1000.0;

/// The scale of a tensor; nothing where it has none that can be read, which has findings of its
/// own.
std::optional<ScaleTensor> find_readable_scale(const RecognisedCheckpoint& source,
                                               const TensorEntry& tensor) {
    if (!checkpoint::is_scaled(tensor.dtype)) {
        return std::nullopt;
    }
    try {
        const auto scale = checkpoint::find_scale(source.checkpoint, tensor.name);
        return scale && scale->value_type ? scale : std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
}

struct Counts {
    std::uint64_t non_finite = 0;
    std::uint64_t negative = 0;
    std::uint64_t zeros = 0;

    std::uint64_t all() const { return non_finite + negative + zeros; }
};

void count_odd(const ScaleTensor& scale, Counts& counts) {
    std::vector<std::byte> bytes(scale.tensor->bytes);
    scale.tensor->read_at(0, bytes);
    std::vector<double> values(count_elements(*scale.value_type, bytes.size()));
    widen(*scale.value_type, bytes, values);
    for (const double value : values) {
        counts.non_finite += std::isfinite(value) ? 0U : 1U;
        counts.negative += value < 0.0 && std::isfinite(value) ? 1U : 0U;
        counts.zeros += value == 0.0 ? 1U : 0U;
    }
}

}  // namespace

void find_scale_values(const RecognisedCheckpoint& source,
                       ScaledTensors which,
                       std::vector<Finding>& findings) {
    Counts counts;
    std::vector<std::string> names;
    for (const TensorEntry& tensor : source.checkpoint.tensors()) {
        if (which == ScaledTensors::attention &&
            source.model.find_attention(tensor.name) == nullptr) {
            continue;
        }
        if (const auto scale = find_readable_scale(source, tensor)) {
            const std::uint64_t before = counts.all();
            count_odd(*scale, counts);
            if (counts.all() > before) {
                names.push_back(scale->tensor->name);
            }
        }
    }
    if (names.empty()) {
        return;
    }
    // A block of zeros may have the scale zero; of the others nothing is left.
    const bool is_wrong = counts.non_finite + counts.negative > 0;
    findings.push_back(checkpoint::make_finding(
        "scale_values",
        is_wrong ? Severity::error : Severity::warning,
        names,
        format("{} scales are no positive numbers ({} NaN or infinite, {} negative, {} zero) in {} "
               "scale tensor{}: {}",
               counts.all(),
               counts.non_finite,
               counts.negative,
               counts.zeros,
               names.size(),
               names.size() == 1 ? "" : "s",
               checkpoint::list_examples(names)),
        "the values of their blocks are no numbers, of the other sign or zero: save the checkpoint "
        "again with the scales that it was quantised with"));
}

void find_scale_ratio(const RecognisedCheckpoint& pre,
                      const RecognisedCheckpoint& post,
                      const Pairing& pairing,
                      std::vector<Finding>& findings) {
    std::vector<std::string> names;
    std::string first;
    for (const checkpoint::AttentionTensor& tensor : post.model.attention) {
        const auto* counterpart = pairing.find_pre_attention(tensor);
        if (counterpart == nullptr) {
            continue;
        }
        const TensorEntry& before = pre.checkpoint.at(counterpart->name);
        const TensorEntry& after = post.checkpoint.at(tensor.name);
        if (!find_readable_scale(pre, before) || !find_readable_scale(post, after)) {
            continue;
        }
        const double own = measure_size({.checkpoint = pre.checkpoint, .tensor = before});
        const double other = measure_size({.checkpoint = post.checkpoint, .tensor = after});
        if (own > 0.0 && other > 0.0 && std::max(own / other, other / own) >= most_ratio) {
            names.push_back(tensor.name);
            first = names.size() > 1 ? first
                                     : format("{} is {:.3g} times as large in pre as in post",
                                              in_quotes(tensor.name),
                                              own / other);
        }
    }
    if (!names.empty()) {
        findings.push_back(checkpoint::make_finding(
            "scale_ratio",
            Severity::warning,
            names,
            format("{} FP8 tensor{} of other sizes in pre than in post, each with its scale: {}",
                   names.size(),
                   names.size() == 1 ? " is" : "s are",
                   first),
            "compare their scales: one was lost, inverted or taken twice"));
    }
}

}  // namespace anamnesis::restore
