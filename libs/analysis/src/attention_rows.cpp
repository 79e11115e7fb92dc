// SPDX-License-Identifier: Apache-2.0
#include "attention_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>

namespace anamnesis::analysis {

std::int64_t block_rows(std::int64_t length) {
    constexpr std::int64_t pairs = 1 << 19;
    return std::clamp<std::int64_t>(pairs / std::max<std::int64_t>(length, 1), 16, 512);
}

LogitRows logit_rows(const HeadPair& head, std::int64_t first, std::int64_t rows) {
    const std::int64_t begin = std::max<std::int64_t>(0, first - head.window + 1);
    const std::int64_t columns = first + rows - begin;
    const double scale = 1.0 / std::sqrt(static_cast<double>(head.q.size(1)));
    at::Tensor logits =
        at::mm(head.q.narrow(0, first, rows), head.k.narrow(0, begin, columns).t()).mul_(scale);
    const auto options = head.q.options().dtype(at::kLong);
    const at::Tensor distance = at::arange(first, first + rows, options).unsqueeze(1) -
                                at::arange(begin, begin + columns, options).unsqueeze(0);
    logits.masked_fill_((distance < 0).logical_or_(distance >= head.window),
                        -std::numeric_limits<double>::infinity());
    const at::Tensor largest = at::amax(logits, -1, /*keepdim=*/true);
    logits.sub_(largest);
    return {.shifted = {.values = logits,
                        .first_query = first,
                        .first_key = begin,
                        .window = head.window},
            .largest = largest};
}

}  // namespace anamnesis::analysis
