// SPDX-License-Identifier: Apache-2.0
#include "attention_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>

namespace anamnesis::analysis {

std::int64_t block_rows(std::int64_t length) {
    constexpr std::int64_t pairs = 1 << 19;
    return std::clamp<std::int64_t>(pairs / std::max<std::int64_t>(length, 1), 16, 512);
}

CappedLogits cap_logits(const at::Tensor& logits, const std::optional<double>& softcap) {
    if (!softcap) {
        return {.values = logits, .slope = {}};
    }
    const at::Tensor share = at::tanh(logits / *softcap);
    return {.values = share * *softcap, .slope = 1.0 - share.square()};
}

LogitRows logit_rows(const HeadPair& head, std::int64_t first, std::int64_t rows) {
    const std::int64_t begin = std::max<std::int64_t>(0, first - head.window + 1);
    const std::int64_t columns = first + rows - begin;
    const double scale = 1.0 / std::sqrt(static_cast<double>(head.q.size(1)));
    auto [logits, slope] = cap_logits(
        at::mm(head.q.narrow(0, first, rows), head.k.narrow(0, begin, columns).t()).mul_(scale),
        head.softcap);
    const auto options = head.q.options().dtype(at::kLong);
    const at::Tensor distance = at::arange(first, first + rows, options).unsqueeze(1) -
                                at::arange(begin, begin + columns, options).unsqueeze(0);
    if (head.alibi_slope != 0.0) {
        logits.sub_(distance.to(logits.scalar_type()), head.alibi_slope);
    }
    logits.masked_fill_((distance < 0).logical_or_(distance >= head.window),
                        -std::numeric_limits<double>::infinity());
    const at::Tensor largest = at::amax(logits, -1, /*keepdim=*/true);
    logits.sub_(largest);
    return {.shifted = {.values = logits,
                        .first_query = first,
                        .first_key = begin,
                        .window = head.window},
            .largest = largest,
            .slope = slope};
}

}  // namespace anamnesis::analysis
