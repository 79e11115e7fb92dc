// SPDX-License-Identifier: Apache-2.0
#include "row_doubts.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"

#include "row_samples.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;
using checkpoint::Severity;

/// At distance 1 pre's rows say no more of post's than rows of zeros would. Fine-tunes lie below
/// 0.1, and the damaged layers of the demo, which was made to lose its recall, at 0.5.
constexpr double far_distance = 1.0;
/// Weight decay and fine-tuning change the size of a layer's rows by a few per cent; the damaged
/// layers of the demo are 1.1 times as large.
constexpr double most_ratio = 4.0;

struct Group {
    std::string_view matrix;
    Relation LayerRelation::* relation;
};
constexpr Group groups[]{{"W_Q", &LayerRelation::query}, {"W_K", &LayerRelation::key}};

/// Of the layers that have such rows; 0 where none has.
double find_median_distance(const LayerRelations& layers, const Group& group) {
    std::vector<double> distances;
    for (const auto& [number, layer] : layers) {
        if ((layer.*group.relation).before > 0.0) {
            distances.push_back((layer.*group.relation).distance());
        }
    }
    if (distances.empty()) {
        return 0.0;
    }
    // The lower of two middles: half of the layers are at least as far.
    const auto middle = distances.begin() + static_cast<std::ptrdiff_t>((distances.size() - 1) / 2);
    std::ranges::nth_element(distances, middle);
    return *middle;
}

void find_far_groups(const LayerRelations& layers, std::vector<Finding>& findings) {
    std::vector<std::string> names;
    std::vector<std::string> distances;
    for (const Group& group : groups) {
        const double distance = find_median_distance(layers, group);
        if (distance >= far_distance) {
            names.emplace_back(group.matrix);
            distances.push_back(format("{} {:.3g}", group.matrix, distance));
        }
    }
    if (!names.empty()) {
        findings.push_back(checkpoint::make_finding(
            "distant_rows",
            Severity::warning,
            names,
            format("the rows of {} in pre and post are as far apart as no fine-tune moves them: "
                   "the median of the relative distances of the softmax layers is {} (a fine-tune "
                   "stays far below 1, unrelated rows have 1.41, rows of the other sign 2)",
                   join(names, " and "),
                   join(distances, ", ")),
            "look whether they come from another checkpoint, or lie in another order of heads or "
            "rotary pairs"));
    }
}

bool differs_in_size(const Relation& rows) {
    if (rows.before == 0.0 && rows.after == 0.0) {
        return false;
    }
    const double least = std::min(rows.before, rows.after);
    const double most = std::max(rows.before, rows.after);
    return least == 0.0 || std::sqrt(most / least) >= most_ratio;
}

std::string describe_size(const Relation& rows) {
    if (rows.before == 0.0 || rows.after == 0.0) {
        return format("is all zeros in {}", rows.before == 0.0 ? "pre" : "post");
    }
    const double ratio = std::sqrt(rows.after / rows.before);
    return ratio >= 1.0 ? format("is {:.3g} times as large in post as in pre", ratio)
                        : format("is {:.3g} times as large in pre as in post", 1.0 / ratio);
}

void find_other_sizes(const LayerRelations& layers, std::vector<Finding>& findings) {
    std::vector<std::uint32_t> numbers;
    std::vector<std::string> names;
    std::string first;
    for (const auto& [number, layer] : layers) {
        const std::size_t before = names.size();
        for (const Group& group : groups) {
            const Relation& rows = layer.*group.relation;
            if (differs_in_size(rows)) {
                names.push_back(format("{} of layer {}", group.matrix, number));
                first = first.empty() ? format("{} {}", names.back(), describe_size(rows)) : first;
            }
        }
        if (names.size() > before) {
            numbers.push_back(number);
        }
    }
    if (!names.empty()) {
        findings.push_back(checkpoint::make_finding(
            "sizes_differ",
            Severity::warning,
            names,
            format("the rows of W_Q or W_K are of other sizes in pre than in post in softmax "
                   "layers {}: {} (a fine-tune stays far below {:.0f} times)",
                   compact_list(numbers),
                   first,
                   most_ratio),
            "look for layers that were never loaded, and for scales that were lost or taken "
            "twice"));
    }
}

}  // namespace

void find_row_doubts(const LayerRelations& layers, std::vector<Finding>& findings) {
    find_far_groups(layers, findings);
    find_other_sizes(layers, findings);
}

}  // namespace anamnesis::restore
