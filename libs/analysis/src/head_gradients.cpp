// SPDX-License-Identifier: Apache-2.0
#include "head_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "anamnesis/analysis/logit_gradients.hpp"

#include "attention_rows.hpp"
#include "distance_sums.hpp"

namespace anamnesis::analysis {
namespace {

/// One query head of a layer.
struct Head {
    Head(const LayerPass& pass, std::int64_t h)
        : pair{.q = pass.q.select(0, h),
               .k = pass.k.select(0, h / (pass.q.size(0) / pass.k.size(0))),
               .window = pass.window,
               .softcap = pass.softcap},
          v(pass.v.select(0, h / (pass.q.size(0) / pass.v.size(0)))),
          mixed_grad(pass.mixed_grad.select(0, h)) {}

    HeadPair pair;
    at::Tensor v;
    at::Tensor mixed_grad;
};

template <class Body>
void for_each_block(std::int64_t length, const Body& body) {
    const std::int64_t step = block_rows(length);
    for (std::int64_t first = 0; first < length; first += step) {
        body(first, std::min(step, length - first));
    }
}

template <class Body>
void for_each_head(const LayerPass& pass, const Body& body) {
    at::parallel_for(0, pass.q.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t h = begin; h < end; ++h) {
            body(h);
        }
    });
}

void sum_head(const Head& head,
              std::int64_t h,
              const std::vector<bool>& predicting,
              LayerGradients& result,
              const RowTotals& totals) {
    const auto index = static_cast<std::size_t>(h);
    for_each_block(head.pair.q.size(0), [&](std::int64_t first, std::int64_t rows) {
        const LogitRows logits = logit_rows(head.pair, first, rows);
        PairBlock block = logits.shifted;
        const std::int64_t columns = block.values.size(1);
        at::Tensor weights = block.values.exp_();
        const at::Tensor total = weights.sum(-1, /*keepdim=*/true);
        weights.div_(total);
        at::Tensor change = at::mm(head.mixed_grad.narrow(0, first, rows),
                                   head.v.narrow(0, block.first_key, columns).t());
        // Summed over the row itself: its gradients then cancel as they must.
        const at::Tensor mean = (weights * change).sum(-1, /*keepdim=*/true);
        totals.log_sum.select(0, h).narrow(0, first, rows).copy_(logits.largest + at::log(total));
        totals.mean_change.select(0, h).narrow(0, first, rows).copy_(mean);
        block.values = change.sub_(mean).mul_(weights);
        if (logits.slope.defined()) {
            block.values.mul_(logits.slope);
        }
        add_by_distance(block, Term::magnitude, result.sums[index]);
        add_by_distance(block, Term::magnitude, predicting, result.predicting_sums[index]);
    });
}

void count_pairs(const LayerPass& pass,
                 const std::vector<bool>& predicting,
                 LayerGradients& result) {
    const auto length = static_cast<std::size_t>(pass.q.size(1));
    const std::size_t reach = std::min(length, static_cast<std::size_t>(pass.window));
    // Queries at tau or later see a key at that distance.
    std::uint64_t later = 0;
    std::vector<std::uint64_t> predicting_from(length);
    for (std::size_t t = length; t-- > 0;) {
        later += predicting[t] ? 1 : 0;
        predicting_from[t] = later;
    }
    for (std::size_t tau = 0; tau < reach; ++tau) {
        result.count[tau] += length - tau;
        result.predicting_count[tau] += predicting_from[tau];
    }
}

/// The band's pairs of a block of queries: weights and gradients of the logits.
struct BandBlock {
    std::int64_t first_key = 0;
    at::Tensor weights;     ///< [rows, columns]; 0 outside the band
    at::Tensor logit_grad;  ///< [rows, columns]
};

BandBlock band_block(const Head& head,
                     const DistanceBand& band,
                     const RowTotals& totals,
                     std::int64_t h,
                     std::int64_t first,
                     std::int64_t rows) {
    const auto nearest =
        static_cast<std::int64_t>(std::min(band.first, static_cast<std::size_t>(head.pair.window)));
    // In this order: the end of an open band is no signed number.
    const auto end =
        static_cast<std::int64_t>(std::min(band.end, static_cast<std::size_t>(head.pair.window)));
    const std::int64_t begin_key = std::max<std::int64_t>(0, first - end + 1);
    const std::int64_t end_key = first + rows - nearest;
    BandBlock block{.first_key = begin_key, .weights = {}, .logit_grad = {}};
    if (end_key <= begin_key || end <= nearest) {
        return block;
    }
    const std::int64_t columns = end_key - begin_key;
    const double scale = 1.0 / std::sqrt(static_cast<double>(head.pair.q.size(1)));
    const auto take_rows = [&](const at::Tensor& all) {
        return all.select(0, h).narrow(0, first, rows);
    };
    const auto options = head.pair.q.options().dtype(at::kLong);
    const at::Tensor distance = at::arange(first, first + rows, options).unsqueeze(1) -
                                at::arange(begin_key, end_key, options).unsqueeze(0);
    const auto [logits, slope] = cap_logits(
        at::mm(head.pair.q.narrow(0, first, rows), head.pair.k.narrow(0, begin_key, columns).t())
            .mul_(scale),
        head.pair.softcap);
    block.weights = logits.sub(take_rows(totals.log_sum))
                        .masked_fill_((distance < nearest).logical_or_(distance >= end), -INFINITY)
                        .exp_();
    block.logit_grad =
        at::mm(head.mixed_grad.narrow(0, first, rows), head.v.narrow(0, begin_key, columns).t())
            .sub_(take_rows(totals.mean_change))
            .mul_(block.weights);
    if (slope.defined()) {
        block.logit_grad.mul_(slope);
    }
    return block;
}

/// Sums what the query heads of a group give to their key-value head.
at::Tensor over_groups(const at::Tensor& heads, std::int64_t kv_heads) {
    return heads.view({kv_heads, heads.size(0) / kv_heads, heads.size(1), heads.size(2)}).sum(1);
}

}  // namespace

RowTotals sum_logit_gradients(const LayerPass& pass,
                              const std::vector<bool>& predicting,
                              LayerGradients& result) {
    const std::vector<std::int64_t> shape{pass.q.size(0), pass.q.size(1), 1};
    const RowTotals totals{.log_sum = at::empty(shape, pass.q.options()),
                           .mean_change = at::empty(shape, pass.q.options())};
    for_each_head(pass,
                  [&](std::int64_t h) { sum_head(Head(pass, h), h, predicting, result, totals); });
    count_pairs(pass, predicting, result);
    return totals;
}

BandShare compute_band_share(const DistanceBand& band,
                             const LayerPass& pass,
                             const RowTotals& totals) {
    // Each head writes its own rows; those of a group are summed afterwards.
    BandShare share{.q_grad = at::zeros_like(pass.q),
                    .k_grad = at::zeros_like(pass.q),
                    .v_grad = at::zeros(pass.mixed_grad.sizes(), pass.v.options()),
                    .mixed = at::zeros_like(pass.mixed_grad)};
    const double scale = 1.0 / std::sqrt(static_cast<double>(pass.q.size(2)));
    for_each_head(pass, [&](std::int64_t h) {
        const Head head(pass, h);
        for_each_block(pass.q.size(1), [&](std::int64_t first, std::int64_t rows) {
            const BandBlock block = band_block(head, band, totals, h, first, rows);
            if (!block.weights.defined()) {
                return;
            }
            const std::int64_t columns = block.weights.size(1);
            const auto key_rows = [&](const at::Tensor& all) {
                return all.narrow(0, block.first_key, columns);
            };
            const auto query_rows = [&](const at::Tensor& all) {
                return all.narrow(0, first, rows);
            };
            query_rows(share.q_grad.select(0, h))
                .addmm_(block.logit_grad, key_rows(head.pair.k), 1.0, scale);
            key_rows(share.k_grad.select(0, h))
                .addmm_(block.logit_grad.t(), query_rows(head.pair.q), 1.0, scale);
            key_rows(share.v_grad.select(0, h))
                .addmm_(block.weights.t(), query_rows(head.mixed_grad));
            query_rows(share.mixed.select(0, h)).addmm_(block.weights, key_rows(head.v));
        });
    });
    share.k_grad = over_groups(share.k_grad, pass.k.size(0));
    share.v_grad = over_groups(share.v_grad, pass.v.size(0));
    return share;
}

}  // namespace anamnesis::analysis
