// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/checkpoint_drift.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/pair_findings.hpp"

#include "container_view.hpp"
#include "drift_gaps.hpp"
#include "drift_notes.hpp"
#include "head_rows.hpp"
#include "pairing.hpp"
#include "row_values.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorEntry;

constexpr std::uint64_t block_bytes = 1U << 20U;

/// Rows of a pair of tensors that count toward one part.
struct PartRows {
    std::string part;
    std::uint64_t post_row = 0;
    std::uint64_t pre_row = 0;
    std::uint64_t rows = 0;
};

std::vector<PartRows> find_parts(const RecognisedCheckpoint& post,
                                 const Pairing& pairing,
                                 const TensorEntry& tensor) {
    const auto* attention = post.model.find_attention(tensor.name);
    if (attention == nullptr) {
        const auto group = checkpoint::classify_tensor(post.model, tensor.name);
        return {{.part = std::string(group ? checkpoint::to_string(*group) : "other"),
                 .rows = tensor.rows()}};
    }
    const auto* counterpart = pairing.find_pre_attention(*attention);
    if (counterpart == nullptr) {
        return {};
    }
    std::vector<PartRows> parts;
    std::vector<std::string> ignored;
    constexpr std::array<std::string_view, 5> names{"q", "k", "v", "gate", "latent"};
    for (const PairedRows& pair : pair_rows(*counterpart, *attention, ignored)) {
        const bool is_norm = attention->group == checkpoint::AttentionGroup::norm;
        parts.push_back(
            {.part = std::string(is_norm ? "norms"
                                         : names.at(static_cast<std::size_t>(pair.post.role))),
             .post_row = pair.post.rows.begin,
             .pre_row = pair.pre_row,
             .rows = pair.post.rows.size()});
    }
    return parts;
}

DriftSums compare(RowValues& pre,
                  RowValues& post,
                  const PartRows& part,
                  const Execution& execution) {
    const std::uint64_t pre_columns = pre.tensor().columns();
    const std::uint64_t post_columns = post.tensor().columns();
    DriftSums sums;
    if (post_columns == 0) {
        return sums;
    }
    // One row may be large (an expert stack), so blocks are counted in elements, not rows.
    const std::uint64_t elements = part.rows * post_columns;
    // A power of two, so that no block of a quantised type is cut.
    const std::uint64_t at_once =
        block_bytes / std::max<std::uint64_t>({element_bytes(pre.tensor().dtype),
                                               element_bytes(post.tensor().dtype),
                                               std::uint64_t{1}});
    std::vector<double> before;
    std::vector<double> after;
    for (std::uint64_t done = 0; done < elements;) {
        execution.check();
        const std::uint64_t count = std::min(at_once, elements - done);
        before.resize(count);
        after.resize(count);
        pre.read(part.pre_row * pre_columns + done, before);
        post.read(part.post_row * post_columns + done, after);
        sums.add(before, after);
        done += count;
    }
    execution.advance(part.rows * post.tensor().row_bytes());
    return sums;
}

using Twins = std::set<std::string>;

/// Names of tensors that are the same weight as another, which is measured in their place:
/// the one that pre names alike, else the first.
Twins find_twins(const RecognisedCheckpoint& pre, const RecognisedCheckpoint& post) {
    std::map<std::string, std::vector<const TensorEntry*>> by_name;
    for (const TensorEntry& tensor : post.checkpoint.tensors()) {
        by_name[checkpoint::canonical_name(tensor.name)].push_back(&tensor);
    }
    Twins twins;
    for (const auto& [name, tensors] : by_name) {
        if (tensors.size() < 2) {
            continue;
        }
        const auto named_alike = std::ranges::find_if(tensors, [&](const TensorEntry* tensor) {
            return pre.checkpoint.find(tensor->name) != nullptr;
        });
        const TensorEntry* kept = named_alike == tensors.end() ? tensors.front() : *named_alike;
        for (const TensorEntry* tensor : tensors) {
            if (tensor != kept) {
                twins.insert(tensor->name);
            }
        }
    }
    return twins;
}

/// What every tensor is measured with.
struct Measurement {
    const RecognisedCheckpoint& pre;
    const RecognisedCheckpoint& post;
    const Pairing& pairing;
    const Twins& twins;
    const Execution& execution;
};

std::vector<TensorDrift> measure_tensor(const Measurement& how,
                                        const TensorEntry& tensor,
                                        NotMeasured& note) {
    using enum NotMeasured::Reason;
    // A scale is part of the values of its weight.
    if (checkpoint::find_scaled_weight(tensor.name)) {
        return {};
    }
    if (how.twins.contains(tensor.name)) {
        note = {twin, "means the same as another tensor, which is measured"};
        return {};
    }
    const TensorEntry* counterpart = how.pairing.find_pre(tensor.name);
    if (counterpart == nullptr) {
        note = {no_counterpart, "has no counterpart in pre"};
        return {};
    }
    if (tensor.bytes == 0 || counterpart->bytes == 0) {
        note = {other_shape, "is empty"};
        return {};
    }
    RowValues before(how.pre.checkpoint, *counterpart);
    RowValues after(how.post.checkpoint, tensor);
    for (const RowValues* values : {&after, &before}) {
        if (!values->has_values()) {
            note = {no_values, values->obstacle()};
            return {};
        }
    }
    const bool has_fp8 =
        checkpoint::is_scaled(tensor.dtype) && checkpoint::is_scaled(counterpart->dtype);
    if (has_fp8 && before.is_scaled() != after.is_scaled()) {
        note = {no_values, "has a scale on one side alone, so its values cannot be compared"};
        return {};
    }
    const auto parts = find_parts(how.post, how.pairing, tensor);
    const bool is_whole = parts.size() == 1 && parts.front().rows == tensor.rows();
    const bool fits =
        is_whole ? counterpart->shape == tensor.shape : counterpart->columns() == tensor.columns();
    if (!fits) {
        note = {other_shape,
                format("has shape {} in pre and {} in post",
                       anamnesis::to_string(counterpart->shape),
                       anamnesis::to_string(tensor.shape))};
        return {};
    }
    std::map<std::string, DriftSums> sums;
    for (const PartRows& part : parts) {
        sums[part.part].merge(compare(before, after, part, how.execution));
    }
    std::vector<TensorDrift> drifts;
    for (const auto& [part, drift] : sums) {
        drifts.push_back({.name = tensor.name,
                          .layer = checkpoint::find_layer(tensor.name),
                          .part = part,
                          .sums = drift});
    }
    return drifts;
}

/// The rows of a head as values, without its bias: 8-bit floats with their scales.
linalg::Matrix load_head(Side side, const RecognisedCheckpoint& source, const HeadBlock& block) {
    const HeadRows& rows = block.weight;
    const TensorEntry& tensor = side == Side::pre ? *rows.pre : *rows.post;
    if (!checkpoint::is_scaled(tensor.dtype)) {
        return load_block(side, block, false);
    }
    RowValues values(source.checkpoint, tensor);
    if (!values.has_values()) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} {}", in_quotes(tensor.name), values.obstacle()));
    }
    const std::uint64_t columns = tensor.columns();
    linalg::Matrix matrix(rows.rows, columns);
    const linalg::MatrixView<double> view = matrix.view();
    const std::uint64_t first = side == Side::pre ? rows.pre_row : rows.post_row;
    for (std::uint64_t row = 0; row < rows.rows; ++row) {
        values.read((first + row) * columns, std::span(view.data() + row * view.stride(), columns));
    }
    return matrix;
}

RoutingGroupDrift measure_heads(const RecognisedCheckpoint& pre,
                                const RecognisedCheckpoint& post,
                                const RoutingGroup& group) {
    RoutingGroupDrift result{.layer = group.layer,
                             .kv_head = group.kv_head,
                             .is_shared_key = group.is_shared_key,
                             .query_heads = {},
                             .drift = {}};
    const linalg::Matrix key_pre = load_head(Side::pre, pre, group.key);
    const linalg::Matrix key_post = load_head(Side::post, post, group.key);
    std::vector<linalg::Matrix> matrices;
    matrices.reserve(2 * group.queries.size());
    for (const HeadBlock& query : group.queries) {
        result.query_heads.push_back(query.head);
        matrices.push_back(load_head(Side::pre, pre, query));
        matrices.push_back(load_head(Side::post, post, query));
    }
    std::vector<HeadPair> queries;
    for (std::size_t i = 0; i < matrices.size(); i += 2) {
        queries.push_back({.pre = matrices[i].view(), .post = matrices[i + 1].view()});
    }
    const bool has_gauge = post.model.qk_norm == checkpoint::QkNorm::none;
    result.drift = measure_group(queries,
                                 {.pre = key_pre.view(), .post = key_post.view()},
                                 has_gauge ? std::optional(group.rotary) : std::nullopt);
    return result;
}

std::string describe_gauge(const checkpoint::Model& model) {
    if (model.qk_norm != checkpoint::QkNorm::none) {
        return "none (QK-norm has unequal gains, so no rotation of a head is a symmetry)";
    }
    return model.rotary.pairs == checkpoint::RotaryLayout::Pairs::none
               ? "orthogonal (no rotary position)"
               : "one angle per rotary pair";
}

}  // namespace

DriftSums CheckpointDrift::of(const std::optional<LayerIndex>& layer,
                              const std::string& part) const {
    DriftSums sums;
    for (const TensorDrift& tensor : tensors) {
        if (tensor.part == part && (!layer || tensor.layer == layer)) {
            sums.merge(tensor.sums);
        }
    }
    return sums;
}

std::vector<std::string> CheckpointDrift::parts() const {
    std::set<std::string> seen;
    for (const TensorDrift& tensor : tensors) {
        seen.insert(tensor.part);
    }
    std::vector<std::string> order;
    for (const char* part : {"q",
                             "k",
                             "v",
                             "o",
                             "gate",
                             "latent",
                             "mixer",
                             "mlp",
                             "norms",
                             "embedding",
                             "head",
                             "other"}) {
        if (seen.contains(part)) {
            order.emplace_back(part);
        }
    }
    return order;
}

CheckpointDrift measure_drift(const RecognisedCheckpoint& original_pre,
                              const RecognisedCheckpoint& post,
                              const Selection& selection,
                              const Execution& execution) {
    CheckpointDrift result;
    const auto view = match_container(original_pre, post);
    const RecognisedCheckpoint& pre = view ? *view : original_pre;
    const Pairing pairing(pre, post);
    const auto& tensors = post.checkpoint.tensors();
    std::vector<std::vector<TensorDrift>> drifts(tensors.size());
    std::vector<NotMeasured> notes(tensors.size());
    const Twins twins = find_twins(pre, post);
    const Measurement how{
        .pre = pre, .post = post, .pairing = pairing, .twins = twins, .execution = execution};
    result.findings = collect_findings(pre, post);
    execution.watch.progress().begin(
        "measuring", post.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        drifts[i] = measure_tensor(how, tensors[i], notes[i]);
    });
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        result.tensors.insert(result.tensors.end(), drifts[i].begin(), drifts[i].end());
    }
    result.notes = join_notes(tensors, notes);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (is_routing_gap(post.model, tensors[i], drifts[i]) && !twins.contains(tensors[i].name)) {
            result.routing_gaps.push_back(tensors[i].name);
        }
    }
    checkpoint::append_findings(result.findings, find_drift_gaps(result), "pair");
    result.gauge = describe_gauge(post.model);
    try {
        const auto groups = routing_groups(pre, post, selection);
        result.heads.resize(groups.size());
        linalg::set_blas_threads(1);
        parallel_for(groups.size(), execution.threads, [&](std::size_t i) {
            execution.check();
            const linalg::OwnBlasThreads one(1);
            result.heads[i] = measure_heads(pre, post, groups[i]);
        });
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::unsupported) {
            throw;
        }
        result.heads.clear();
        result.notes.push_back(format("heads were not measured: {}", error.message()));
    }
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
