// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::analysis {

/// What one example says of one softmax layer, in `distance_bins` of its length.
struct LayerRecord {
    std::size_t layer = 0;
    std::vector<std::vector<double>> sums{};  ///< [query heads][bins] of |dL/ds|
    std::vector<double> pairs{};              ///< [bins] of one head
    std::vector<BandNorms> bands{};
};

struct ExampleRecord {
    std::string id{};
    std::size_t tokens = 0;
    std::size_t predictions = 0;
    double loss = 0.0;
    std::vector<LayerRecord> layers{};
    /// Of the tokens' embeddings less their mean: [bins] sums of inner products and their pairs.
    std::vector<double> correlation_sums{};
    std::vector<double> correlation_pairs{};
};

ExampleRecord to_record(std::string id, const LabelledText& text, const LogitGradients& gradients);

Json to_json(const ExampleRecord& record);
/// Errors: `malformed`, naming the field.
ExampleRecord read_example_record(const Json& json);

struct CurvePoint {
    DistanceBin bin{};
    double value = 0.0;
    double pairs = 0.0;
    std::optional<eval::Interval> interval{};  ///< over examples; absent for one example
};

/// A mean over all pairs of all examples, by distance, with its decay.
struct Curve {
    std::vector<CurvePoint> points{};
    DecayFit fit{};
    /// Of the decay length, over examples; absent where resamples often fit no exponential.
    std::optional<eval::Interval> length_interval{};
    std::string no_interval{};  ///< why a decay length has none, else empty
};

struct LayerLocality {
    std::size_t layer = 0;
    Curve curve{};                   ///< mean over heads
    std::vector<Curve> heads{};      ///< without intervals
    std::vector<BandNorms> bands{};  ///< root mean squares over examples
};

struct Locality {
    std::size_t examples = 0;
    std::size_t tokens = 0;
    std::size_t predictions = 0;
    /// Mean over examples; of the rows of a batch, which share one mean, their sum.
    double loss = 0.0;
    Curve curve{};  ///< mean over softmax layers: g(tau), and W_grad
    std::vector<LayerLocality> layers{};
    Curve correlation{};  ///< of the embeddings, 1 at distance 0; and W_corr
};

/// Folds examples of one data set. Errors: `mismatch` for examples of different models; `internal`
/// for none.
Locality summarise(std::span<const ExampleRecord> records, const eval::BootstrapOptions& bootstrap);

}  // namespace anamnesis::analysis
