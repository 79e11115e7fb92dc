// SPDX-License-Identifier: Apache-2.0
#include "row_relation.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/plan.hpp"

#include "pairing.hpp"
#include "row_doubts.hpp"
#include "row_samples.hpp"
#include "row_values.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionTensor;
using checkpoint::Finding;
using checkpoint::RowRole;
using checkpoint::Severity;
using checkpoint::TensorEntry;

constexpr std::uint64_t rows_sampled = 8;
constexpr std::uint64_t columns_sampled = 8192;

/// A pair of tensors as rows of values.
class PairedValues {
public:
    PairedValues(const RecognisedCheckpoint& pre,
                 const TensorEntry& pre_tensor,
                 const RecognisedCheckpoint& post,
                 const TensorEntry& post_tensor)
        : pre_(pre.checkpoint, pre_tensor), post_(post.checkpoint, post_tensor) {
        columns_ = pre_tensor.columns();
        is_readable_ = pre_.has_values() && post_.has_values() && columns_ != 0 &&
                       columns_ == post_tensor.columns();
        before_.resize(std::min(columns_, columns_sampled));
        after_.resize(before_.size());
    }

    bool is_readable() const { return is_readable_; }
    std::uint64_t rows() const { return std::min(pre_.tensor().rows(), post_.tensor().rows()); }
    void add_row(std::uint64_t pre_row, std::uint64_t post_row, Relation& relation) {
        pre_.read(pre_row * columns_, before_);
        post_.read(post_row * columns_, after_);
        relation.add(before_, after_);
    }

private:
    RowValues pre_;
    RowValues post_;
    std::uint64_t columns_ = 0;
    bool is_readable_ = false;
    std::vector<double> before_;
    std::vector<double> after_;
};

/// Row numbers spread over [0, rows): by the golden ratio, so that no stride of heads or of rotary
/// pairs is met by all of them.
std::vector<std::uint64_t> spread_rows(std::uint64_t rows) {
    std::vector<std::uint64_t> chosen;
    if (rows <= 2 * rows_sampled) {
        for (std::uint64_t row = 0; row < rows; ++row) {
            chosen.push_back(row);
        }
        return chosen;
    }
    constexpr double ratio = 0.618'033'988'749'894'9;
    for (std::uint64_t i = 1; i <= rows_sampled; ++i) {
        const double place = static_cast<double>(i) * ratio;
        chosen.push_back(
            static_cast<std::uint64_t>((place - std::floor(place)) * static_cast<double>(rows)));
    }
    return chosen;
}

class RelationFinder {
public:
    RelationFinder(const RecognisedCheckpoint& pre,
                   const RecognisedCheckpoint& post,
                   const Pairing& pairing)
        : pre_(pre), post_(post), pairing_(pairing) {
        for (const AttentionTensor& tensor : post.model.attention) {
            if (tensor.group == checkpoint::AttentionGroup::weight && tensor.layer) {
                sample(tensor);
            }
        }
    }

    void add_findings(std::vector<Finding>& findings) const {
        std::vector<std::uint32_t> unrelated;
        for (const auto& [layer, relation] : layers_) {
            if (relation.is_unrelated()) {
                unrelated.push_back(layer);
            }
        }
        if (const auto order = find_rotary_order()) {
            findings.push_back(describe_order(order->first, order->second));
            return;
        }
        if (!unrelated.empty()) {
            findings.push_back(describe_unrelated(unrelated));
        }
        if (unrelated.size() < layers_.size()) {
            find_row_doubts(layers_, findings);
        }
    }

private:
    void sample(const AttentionTensor& tensor) {
        const AttentionTensor* counterpart = pairing_.find_pre_attention(tensor);
        if (counterpart == nullptr) {
            return;
        }
        PairedValues values(
            pre_, pre_.checkpoint.at(counterpart->name), post_, post_.checkpoint.at(tensor.name));
        if (!values.is_readable()) {
            return;
        }
        std::vector<std::string> ignored;
        std::map<RowRole, std::vector<PairedRows>> by_role;
        for (const PairedRows& pair : pair_rows(*counterpart, tensor, ignored)) {
            by_role[pair.post.role].push_back(pair);
        }
        LayerRelation& relation = layers_[tensor.layer->value];
        relation.layer = tensor.layer->value;
        for (const auto& [role, pairs] : by_role) {
            if (role == RowRole::query) {
                sample_rows(pairs, values, relation.query);
            } else if (role == RowRole::key || role == RowRole::latent) {
                sample_rows(pairs, values, relation.key);
            }
        }
    }

    static void sample_rows(const std::vector<PairedRows>& pairs,
                            PairedValues& values,
                            Relation& relation) {
        std::uint64_t rows = 0;
        for (const PairedRows& pair : pairs) {
            rows += pair.post.rows.size();
        }
        for (std::uint64_t row : spread_rows(rows)) {
            for (const PairedRows& pair : pairs) {
                if (row < pair.post.rows.size()) {
                    values.add_row(pair.pre_row + row, pair.post.rows.begin + row, relation);
                    break;
                }
                row -= pair.post.rows.size();
            }
        }
    }

    /// Samples of v, o and mlp of the first softmax layers: how far the rest moved.
    Relation sample_rest() const {
        constexpr std::size_t most_tensors = 24;
        Relation rest;
        std::size_t count = 0;
        for (const TensorEntry& tensor : post_.checkpoint.tensors()) {
            const auto layer = checkpoint::find_layer(tensor.name);
            if (!layer || !layers_.contains(layer->value) || tensor.shape.size() < 2 ||
                post_.model.find_attention(tensor.name) != nullptr) {
                continue;
            }
            const TensorEntry* counterpart = pairing_.find_pre(tensor.name);
            if (counterpart == nullptr || counterpart->shape != tensor.shape) {
                continue;
            }
            PairedValues values(pre_, *counterpart, post_, tensor);
            if (values.is_readable()) {
                for (const std::uint64_t row : spread_rows(values.rows())) {
                    values.add_row(row, row, rest);
                }
                if (++count == most_tensors) {
                    break;
                }
            }
        }
        return rest;
    }

    /// Which order explains the distance: "half-split" of pre and "interleaved" of post, or the
    /// other way around, with the distance that is left.
    struct Order {
        std::string words;
        double distance = 0.0;
    };

    std::optional<std::pair<LayerRelation, Order>> find_rotary_order() const {
        if (post_.model.rotary.pairs == checkpoint::RotaryLayout::Pairs::none ||
            post_.model.rotary.dimensions < 4) {
            return std::nullopt;
        }
        constexpr int most_tried = 2;
        int tried = 0;
        for (const auto& [layer, relation] : layers_) {
            if (!relation.is_suspicious() || tried++ >= most_tried) {
                continue;
            }
            for (const AttentionTensor& tensor : post_.model.attention) {
                if (tensor.group != checkpoint::AttentionGroup::weight || !tensor.layer ||
                    tensor.layer->value != layer) {
                    continue;
                }
                if (const auto order = try_orders(tensor)) {
                    return std::pair(relation, *order);
                }
            }
        }
        return std::nullopt;
    }

    /// Holds the first head of a tensor against pre's in either order.
    std::optional<Order> try_orders(const AttentionTensor& tensor) const {
        const AttentionTensor* counterpart = pairing_.find_pre_attention(tensor);
        if (counterpart == nullptr) {
            return std::nullopt;
        }
        PairedValues values(
            pre_, pre_.checkpoint.at(counterpart->name), post_, post_.checkpoint.at(tensor.name));
        std::vector<std::string> ignored;
        const auto& rotary = post_.model.rotary;
        for (const PairedRows& pair : pair_rows(*counterpart, tensor, ignored)) {
            const bool is_head =
                (pair.post.role == RowRole::query || pair.post.role == RowRole::key) &&
                pair.post.head && pair.post.rows.size() >= rotary.offset + rotary.dimensions;
            if (!is_head || !values.is_readable()) {
                continue;
            }
            const std::uint64_t half = rotary.dimensions / 2;
            Relation plain;
            Relation to_interleaved;
            Relation to_split;
            const std::uint64_t pre_row = pair.pre_row + rotary.offset;
            const std::uint64_t post_row = pair.post.rows.begin + rotary.offset;
            for (std::uint64_t i = 0; i < 2 * half; ++i) {
                const std::uint64_t split = i / 2 + (i % 2) * half;
                values.add_row(pre_row + i, post_row + i, plain);
                values.add_row(pre_row + split, post_row + i, to_interleaved);
                values.add_row(pre_row + i, post_row + split, to_split);
            }
            const bool is_interleaved = to_interleaved.distance() < to_split.distance();
            const double left = std::min(to_interleaved.distance(), to_split.distance());
            if (plain.distance() > suspicious_distance && left < 0.6 * plain.distance()) {
                return Order{.words = is_interleaved ? "half-split in pre and interleaved in post"
                                                     : "interleaved in pre and half-split in post",
                             .distance = left};
            }
        }
        return std::nullopt;
    }

    std::string describe_range() const {
        double low = 1e300;
        double high = 0.0;
        for (const auto& [layer, relation] : layers_) {
            for (const Relation* side : {&relation.query, &relation.key}) {
                if (side->before > 0.0) {
                    low = std::min(low, side->distance());
                    high = std::max(high, side->distance());
                }
            }
        }
        return format("{:.2f} to {:.2f}", low, high);
    }

    Finding describe_order(const LayerRelation& layer, const Order& order) const {
        return checkpoint::make_finding(
            std::string(rotary_order_code),
            Severity::error,
            {},
            format("the rows of W_Q and W_K in pre and post lie in another order of rotary pairs: "
                   "relative distances are {} (a fine-tune stays far below 1), and with the rows "
                   "of a head of layer {} taken as {} the distance is {:.2f}",
                   describe_range(),
                   layer.layer,
                   order.words,
                   order.distance),
            "export post again with the permutation of rotary pairs that the family's files have");
    }

    Finding describe_unrelated(const std::vector<std::uint32_t>& layers) const {
        const Relation rest = sample_rest();
        const bool is_everywhere = layers.size() == layers_.size();
        const std::string begin = format(
            "the rows of W_Q and W_K in pre and post are unrelated in {} (relative distance "
            "{}; unrelated random rows have 1.41, a fine-tune stays far below 1)",
            is_everywhere ? std::string("every softmax layer")
                          : format("softmax layers {}", compact_list(layers)),
            describe_range());
        if (!is_everywhere) {
            return checkpoint::make_finding(
                "unrelated_layers", Severity::warning, {}, begin, "compare where these come from");
        }
        if (rest.before > 0.0 && !rest.is_unrelated()) {
            return checkpoint::make_finding(
                std::string(rotary_order_code),
                Severity::error,
                {},
                format(
                    "{}, while v, o and mlp moved {:.2f}: another order of rotary pairs or heads",
                    begin,
                    rest.distance()),
                "export post again in the order of rows that the family's files have");
        }
        return checkpoint::make_finding(
            std::string(unrelated_code),
            Severity::error,
            {},
            format("{}, and so are v, o and mlp ({:.2f}): pre is not the checkpoint before this "
                   "fine-tune",
                   begin,
                   rest.distance()),
            "give the checkpoint that post was trained from as --pre");
    }

    const RecognisedCheckpoint& pre_;
    const RecognisedCheckpoint& post_;
    const Pairing& pairing_;
    LayerRelations layers_;
};

}  // namespace

void find_row_relation(const RecognisedCheckpoint& pre,
                       const RecognisedCheckpoint& post,
                       const Pairing& pairing,
                       std::vector<Finding>& findings) {
    RelationFinder(pre, post, pairing).add_findings(findings);
}

}  // namespace anamnesis::restore
