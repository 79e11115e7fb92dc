// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// Distances first <= tau < end.
struct DistanceBand {
    std::size_t first = 0;
    std::size_t end = 0;
};

/// Frobenius norms of the gradients that reach the projections of a softmax layer through the
/// pairs of one distance band. The gradients of all bands add up to the whole gradient: W_Q and
/// W_K get theirs through the logits of these pairs, W_V and W_O through what is mixed over them.
struct BandNorms {
    double query = 0.0;
    double key = 0.0;
    double value = 0.0;
    double output = 0.0;
};

/// Magnitudes of dL/ds, s the scaled logit before mask and softmax, summed by distance tau = t - u
/// of query t and key u. Divided by `count` they are the mean over pairs, g(tau).
struct LayerGradients {
    std::size_t layer = 0;
    std::vector<std::vector<double>> sums;             ///< [query heads][T]
    std::vector<std::vector<double>> predicting_sums;  ///< of queries that carry a prediction
    std::vector<std::uint64_t> count;                  ///< [T] pairs of one head
    std::vector<std::uint64_t> predicting_count;       ///< [T]
    std::vector<BandNorms> bands;                      ///< one for each band asked for
};

struct LogitGradients {
    double loss = 0.0;  ///< sum of the cross-entropies times `GradientOptions::weight`
    std::size_t predictions = 0;
    std::vector<LayerGradients> layers;  ///< softmax layers, from the lowest
};

struct GradientOptions {
    /// Of each prediction in the loss. 0: one over their number, which makes the loss their mean.
    double weight = 0.0;
    std::vector<DistanceBand> bands{};
};

/// The distance-conditioned gradient of the attention logits of every softmax layer, through all
/// layers above. Exact: every pair counts. The network's projections of softmax layers ask for
/// gradients from then on.
///
/// Errors: `mismatch` for ids outside the vocabulary, labels of another length, no prediction;
///         `unsupported` for a model without softmax layers.
/// Cost:   one forward and backward pass, and two products [T, T] x D a head; with bands about
///         six more. No matrix [T, T] is kept: memory of one pass and a block of rows a thread.
LogitGradients logit_gradients(const runtime::Network& network,
                               const LabelledText& text,
                               const GradientOptions& options = {});

/// The mean of `sums` / `count` over heads, [T]; NaN where no pair has the distance.
std::vector<double> mean_over_heads(const std::vector<std::vector<double>>& sums,
                                    const std::vector<std::uint64_t>& count);

}  // namespace anamnesis::analysis
