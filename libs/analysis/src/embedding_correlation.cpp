// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/embedding_correlation.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/runtime/network.hpp"

#include "attention_rows.hpp"
#include "distance_sums.hpp"
#include "network_input.hpp"

namespace anamnesis::analysis {

struct EmbeddingCorrelation::Parts {
    at::Tensor table;
    at::Tensor mean;  ///< [d]

    at::Tensor rows(std::span<const std::int64_t> ids) const {
        const at::Tensor stored =
            at::embedding(table, to_token_row(ids).squeeze(0).to(table.device())).detach();
        return stored.to(table.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    }
};

EmbeddingCorrelation::EmbeddingCorrelation(EmbeddingCorrelation&&) noexcept = default;
EmbeddingCorrelation& EmbeddingCorrelation::operator=(EmbeddingCorrelation&&) noexcept = default;
EmbeddingCorrelation::~EmbeddingCorrelation() = default;

EmbeddingCorrelation::EmbeddingCorrelation(const runtime::Network& network,
                                           std::span<const LabelledText> texts)
    : parts_(std::make_unique<Parts>()) {
    without_foreign_exceptions([&] {
        const at::NoGradGuard no_gradients;
        parts_->table = network.parameter(std::nullopt, checkpoint::role::embedding);
        at::Tensor sum = at::zeros({parts_->table.size(1)}, at::kDouble);
        std::size_t tokens = 0;
        for (const LabelledText& text : texts) {
            check_ids(network, text.ids);
            sum += parts_->rows(text.ids).to(at::kCPU).sum(0, /*keepdim=*/false, at::kDouble);
            tokens += text.ids.size();
        }
        parts_->mean = sum / static_cast<double>(std::max<std::size_t>(tokens, 1));
    });
}

std::vector<double> EmbeddingCorrelation::sums(std::span<const std::int64_t> ids) const {
    return without_foreign_exceptions([&] {
        const at::NoGradGuard no_gradients;
        const at::Tensor all = parts_->rows(ids).to(at::kCPU);
        const at::Tensor rows = all - parts_->mean.to(all.scalar_type());
        std::vector<double> sums(ids.size());
        const std::int64_t length = rows.size(0);
        const std::int64_t step = block_rows(length);
        for (std::int64_t first = 0; first < length; first += step) {
            const std::int64_t count = std::min(step, length - first);
            add_by_distance({.values = at::mm(rows.narrow(0, first, count),
                                              rows.narrow(0, 0, first + count).t()),
                             .first_query = first,
                             .first_key = 0,
                             .window = length},
                            Term::value,
                            sums);
        }
        return sums;
    });
}

}  // namespace anamnesis::analysis
