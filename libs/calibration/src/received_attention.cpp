// SPDX-License-Identifier: Apache-2.0
#include "received_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::calibration {
namespace {

/// Logits of a block: 32 MB in float32.
constexpr std::int64_t most_logits = std::int64_t{8} << 20;

}  // namespace

at::Tensor sum_received_attention(const runtime::Routing& routing,
                                  const at::Tensor& positions,
                                  const at::Tensor& weights,
                                  const SoftmaxRules& rules) {
    const at::Tensor q = routing.q.select(0, 0);  // [T, heads, D]
    const at::Tensor k = routing.k.select(0, 0);  // [T, kv_heads, D]
    const std::int64_t tokens = k.size(0);
    const std::int64_t kv_heads = k.size(1);
    const std::int64_t group = q.size(1) / kv_heads;
    const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
    const at::Tensor keys = k.permute({1, 2, 0});  // [kv_heads, D, T]
    const at::Tensor columns = at::arange(tokens, at::kLong).to(positions.device());
    const std::int64_t rows = std::max<std::int64_t>(1, most_logits / (tokens * q.size(1)));
    at::Tensor received =
        at::zeros({kv_heads, tokens}, at::TensorOptions(at::kDouble).device(q.device()));
    for (std::int64_t first = 0; first < positions.size(0); first += rows) {
        const std::int64_t count = std::min(rows, positions.size(0) - first);
        const at::Tensor at = positions.narrow(0, first, count);
        const at::Tensor queries = q.index_select(0, at)
                                       .mul_(scale)
                                       .view({count, kv_heads, group, -1})
                                       .permute({1, 2, 0, 3})
                                       .reshape({kv_heads, group * count, -1});
        at::Tensor hidden = columns.unsqueeze(0) > at.unsqueeze(1);  // [count, T]
        if (rules.window) {
            hidden =
                hidden.logical_or(columns.unsqueeze(0) <=
                                  (at - static_cast<std::int64_t>(*rules.window)).unsqueeze(1));
        }
        at::Tensor logits = at::matmul(queries, keys).view({kv_heads, group, count, tokens});
        if (rules.softcap) {
            logits = at::tanh(logits / *rules.softcap) * *rules.softcap;
        }
        if (rules.slopes.defined()) {
            logits = logits - rules.slopes.to(logits.options()).view({kv_heads, group, 1, 1}) *
                                  (at.unsqueeze(1) - columns.unsqueeze(0));
        }
        logits.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
        if (rules.sinks.defined()) {
            const at::Tensor sink = rules.sinks.to(logits.options()).view({kv_heads, group, 1, 1});
            logits = at::cat({logits, sink.expand({-1, -1, count, -1})}, -1);
        }
        at::Tensor shares = at::softmax(logits, -1).narrow(-1, 0, tokens);
        if (weights.defined()) {
            shares = shares * weights.narrow(0, first, count).to(shares.device()).view({count, 1});
        }
        received += shares.sum(at::IntArrayRef({1, 2}), /*keepdim=*/false, at::kDouble);
    }
    return received.t();
}

}  // namespace anamnesis::calibration
