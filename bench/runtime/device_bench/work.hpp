// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::bench {

/// The least that a network must do, whatever computes it.
class Work {
public:
    explicit Work(const runtime::Network& network);

    /// Floating-point operations of a prompt of `length` tokens: two for each weight of a layer's
    /// matrices and token, causal attention (2 L^2 heads D), states of linear layers (4 K V a token
    /// and head, 6 K V where the rule corrects), logits of the last token.
    double prefill_operations(double length) const;

    /// Bytes of one more token after `context` others: every weight read once, keys and values
    /// read once, linear states read and written.
    double decode_bytes(double context) const;

    double weight_bytes() const { return weight_bytes_; }
    double state_bytes(double context) const { return cache_bytes_ * context + linear_bytes_; }

private:
    void add_layer(const runtime::LayerSpec& layer, double bytes_of_value);

    double layer_weights_ = 0.0;  ///< elements of the layers' matrices
    double head_weights_ = 0.0;   ///< of the matrix of logits
    double weight_bytes_ = 0.0;
    double attention_width_ = 0.0;    ///< query heads times their size, over all softmax layers
    double linear_operations_ = 0.0;  ///< of a token
    double cache_bytes_ = 0.0;        ///< of a token
    double linear_bytes_ = 0.0;       ///< of the linear states, in float32
};

}  // namespace anamnesis::bench
