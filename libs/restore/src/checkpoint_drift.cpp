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
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"

#include "head_rows.hpp"
#include "pairing.hpp"

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

std::vector<PartRows> parts_of(const RecognisedCheckpoint& post,
                               const Pairing& pairing,
                               const TensorEntry& tensor) {
    const auto* attention = post.model.find_attention(tensor.name);
    if (attention == nullptr) {
        const auto group = checkpoint::find_group_of(post.model, tensor.name);
        return {{.part = std::string(group ? checkpoint::name_of(*group) : "other"),
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

DriftSums compare(const TensorEntry& pre_tensor,
                  const TensorEntry& post_tensor,
                  const PartRows& part,
                  const Execution& execution) {
    const std::uint64_t pre_row_bytes = pre_tensor.row_bytes();
    const std::uint64_t post_row_bytes = post_tensor.row_bytes();
    DriftSums sums;
    if (post_row_bytes == 0) {
        return sums;
    }
    // One row may be large (an expert stack), so blocks are counted in elements, not rows.
    const std::uint64_t pre_size = element_bytes(pre_tensor.dtype);
    const std::uint64_t post_size = element_bytes(post_tensor.dtype);
    const std::uint64_t elements = part.rows * (post_row_bytes / post_size);
    const std::uint64_t at_once = block_bytes / std::max(pre_size, post_size);
    std::vector<std::byte> bytes(block_bytes);
    std::vector<double> before;
    std::vector<double> after;
    for (std::uint64_t done = 0; done < elements;) {
        execution.check();
        const std::uint64_t count = std::min(at_once, elements - done);
        before.resize(count);
        after.resize(count);
        const auto pre_bytes = std::span(bytes).first(count * pre_size);
        pre_tensor.read_at(part.pre_row * pre_row_bytes + done * pre_size, pre_bytes);
        widen(pre_tensor.dtype, pre_bytes, before);
        const auto post_bytes = std::span(bytes).first(count * post_size);
        post_tensor.read_at(part.post_row * post_row_bytes + done * post_size, post_bytes);
        widen(post_tensor.dtype, post_bytes, after);
        sums.add(before, after);
        done += count;
    }
    execution.advance(elements * post_size);
    return sums;
}

std::vector<TensorDrift> measure_tensor(const RecognisedCheckpoint& post,
                                        const Pairing& pairing,
                                        const TensorEntry& tensor,
                                        const Execution& execution,
                                        std::string& note) {
    const TensorEntry* counterpart = pairing.find_pre(tensor.name);
    if (counterpart == nullptr) {
        note = format("tensor {} has no counterpart in pre", in_quotes(tensor.name));
        return {};
    }
    if (!is_arithmetic(tensor.dtype) || !is_arithmetic(counterpart->dtype)) {
        note = format("tensor {} is {}, which holds no values to compare",
                      in_quotes(tensor.name),
                      anamnesis::name_of(tensor.dtype));
        return {};
    }
    const auto parts = parts_of(post, pairing, tensor);
    const bool is_whole = parts.size() == 1 && parts.front().rows == tensor.rows();
    const bool fits =
        is_whole ? counterpart->shape == tensor.shape : counterpart->columns() == tensor.columns();
    if (!fits) {
        note = format("tensor {} has shape {} in pre and {} in post",
                      in_quotes(tensor.name),
                      to_string(counterpart->shape),
                      to_string(tensor.shape));
        return {};
    }
    std::map<std::string, DriftSums> sums;
    for (const PartRows& part : parts) {
        sums[part.part].merge(compare(*counterpart, tensor, part, execution));
    }
    std::vector<TensorDrift> drifts;
    for (const auto& [part, drift] : sums) {
        drifts.push_back({.name = tensor.name,
                          .layer = checkpoint::find_layer_of(tensor.name),
                          .part = part,
                          .sums = drift});
    }
    return drifts;
}

RoutingGroupDrift measure_heads(const RecognisedCheckpoint& post, const RoutingGroup& group) {
    RoutingGroupDrift result{.layer = group.layer,
                             .kv_head = group.kv_head,
                             .is_shared_key = group.is_shared_key,
                             .query_heads = {},
                             .drift = {}};
    const linalg::Matrix key_pre = load_block(Side::pre, group.key, false);
    const linalg::Matrix key_post = load_block(Side::post, group.key, false);
    std::vector<linalg::Matrix> matrices;
    matrices.reserve(2 * group.queries.size());
    for (const HeadBlock& query : group.queries) {
        result.query_heads.push_back(query.head);
        matrices.push_back(load_block(Side::pre, query, false));
        matrices.push_back(load_block(Side::post, query, false));
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

std::string gauge_of(const checkpoint::Model& model) {
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

CheckpointDrift measure_drift(const RecognisedCheckpoint& pre,
                              const RecognisedCheckpoint& post,
                              const Selection& selection,
                              const Execution& execution) {
    CheckpointDrift result;
    const Pairing pairing(pre, post);
    const auto& tensors = post.checkpoint.tensors();
    std::vector<std::vector<TensorDrift>> drifts(tensors.size());
    std::vector<std::string> notes(tensors.size());
    execution.watch.progress().begin(
        "measuring", post.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        drifts[i] = measure_tensor(post, pairing, tensors[i], execution, notes[i]);
    });
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        result.tensors.insert(result.tensors.end(), drifts[i].begin(), drifts[i].end());
        if (!notes[i].empty()) {
            result.notes.push_back(notes[i]);
        }
    }
    result.gauge = gauge_of(post.model);
    try {
        const auto groups = routing_groups(pre, post, selection);
        result.heads.resize(groups.size());
        linalg::set_blas_threads(1);
        parallel_for(groups.size(), execution.threads, [&](std::size_t i) {
            execution.check();
            result.heads[i] = measure_heads(post, groups[i]);
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
