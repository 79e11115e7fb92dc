// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::analysis {

/// The gradients of a batch of rows of one length, at every distance.
class RowGradients {
public:
    void add(const LogitGradients& gradients);
    /// Of a row without a prediction: its pairs count, its gradients are zero.
    void add_without_loss(const LabelledText& row);

    /// By layer: `g_per_head` [heads][T] and `g` [T], means over the pairs of all rows; `count`
    /// [T], the pairs of one head in all rows; the same of queries that carry a prediction. null
    /// where no pair has the distance.
    Json to_json() const;

private:
    std::vector<LayerGradients> layers_;
    std::vector<std::size_t> lengths_without_loss_;
};

}  // namespace anamnesis::analysis
