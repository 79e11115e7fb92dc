// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// How alike the embeddings of a text's tokens are over distance, with the mean embedding of all
/// tokens of a data set taken out.
class EmbeddingCorrelation {
public:
    /// The mean is that of `texts`. Errors: as `check_ids`.
    EmbeddingCorrelation(const runtime::Network& network, std::span<const LabelledText> texts);
    EmbeddingCorrelation(const EmbeddingCorrelation&) = delete;
    EmbeddingCorrelation& operator=(const EmbeddingCorrelation&) = delete;
    EmbeddingCorrelation(EmbeddingCorrelation&&) noexcept;
    EmbeddingCorrelation& operator=(EmbeddingCorrelation&&) noexcept;
    ~EmbeddingCorrelation();

    /// sum over t of <e_t - mean, e_{t - tau} - mean>, for every tau below the text's length.
    /// Cost: a product [T, T] x d, a block of rows at a time.
    std::vector<double> sums(std::span<const std::int64_t> ids) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace anamnesis::analysis
