// SPDX-License-Identifier: Apache-2.0
#include "recurrence.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {
namespace {

constexpr std::int64_t chunk_length = 64;

void check(const Recurrence& r) {
    const std::int64_t batch = r.q.size(0);
    const std::int64_t length = r.q.size(1);
    const std::int64_t heads = r.q.size(2);
    check_shape(r.k, r.q.sizes(), "keys of a recurrence");
    check_shape(r.v, {batch, length, heads, -1}, "values of a recurrence");
    if (r.state.defined()) {
        check_shape(r.state, {batch, heads, r.q.size(3), r.v.size(3)}, "state of a recurrence");
    }
}

at::Tensor initial_state(const Recurrence& r) {
    return r.state.defined()
               ? r.state
               : at::zeros({r.q.size(0), r.q.size(2), r.q.size(3), r.v.size(3)}, r.v.options());
}

/// [B, H, 1, 1]: the factor of step t on the state.
at::Tensor decay_factor(const Recurrence& r, std::int64_t t) {
    const at::Tensor decay = r.decay.dim() == 1 ? r.decay.unsqueeze(0) : r.decay.select(1, t);
    return at::exp(decay).unsqueeze(-1).unsqueeze(-1);
}

bool records_gradients(const Recurrence& r) {
    const auto asks = [](const at::Tensor& x) {
        return x.defined() && runtime::records_gradients(x);
    };
    return asks(r.q) || asks(r.k) || asks(r.v) || asks(r.decay) || asks(r.beta) || asks(r.state);
}

bool runs_in_kernel(const Recurrence& r) {
    return r.q.is_cpu() && r.q.scalar_type() == at::kFloat && !records_gradients(r);
}

/// [B, T, H, D] -> [B, H, N, C, D].
at::Tensor in_chunks(const at::Tensor& x, std::int64_t chunks, std::int64_t length) {
    return x.reshape({x.size(0), chunks, length, x.size(2), x.size(3)}).permute({0, 3, 1, 2, 4});
}

/// [B, T, H] -> [B, H, N, C].
at::Tensor gates_in_chunks(const at::Tensor& x, std::int64_t chunks, std::int64_t length) {
    return x.reshape({x.size(0), chunks, length, x.size(2)}).permute({0, 3, 1, 2});
}

/// The running sum of decays inside each chunk: [B, H, N, C], or [1, H, 1, C] for a fixed decay.
at::Tensor running_decay(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    if (r.decay.dim() == 1) {
        const at::Tensor steps = at::arange(1, length + 1, r.decay.options());
        return (r.decay.unsqueeze(1) * steps).unsqueeze(0).unsqueeze(2);
    }
    return at::cumsum(gates_in_chunks(r.decay, chunks, length), -1);
}

/// exp(c_i - c_j) for j <= i, else 0. The difference is masked before it is raised: above the
/// diagonal it may overflow, and infinity times zero is no number.
at::Tensor decay_between(const at::Tensor& c) {
    const std::int64_t length = c.size(-1);
    const at::Tensor later = at::ones({length, length}, c.options().dtype(at::kBool)).triu(1);
    return at::exp((c.unsqueeze(-1) - c.unsqueeze(-2)).masked_fill(later, -INFINITY));
}

/// Whole chunks of one length.
RecurrenceResult run_chunks(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    const at::Tensor q = in_chunks(r.q, chunks, length) * r.scale;
    const at::Tensor k = in_chunks(r.k, chunks, length).contiguous();
    const at::Tensor v = in_chunks(r.v, chunks, length);
    const at::Tensor c = running_decay(r, chunks, length);
    const at::Tensor between = decay_between(c);
    const at::Tensor last = c.narrow(-1, length - 1, 1);
    const at::Tensor from_start = at::exp(c).unsqueeze(-1);
    const at::Tensor to_end = at::exp(last - c).unsqueeze(-1);
    const at::Tensor whole = at::exp(last).unsqueeze(-1);  // [B or 1, H, N or 1, 1, 1]

    const at::Tensor scores = at::matmul(q, k.transpose(-1, -2)) * between;
    const at::Tensor keys_to_end = (k * to_end).transpose(-1, -2);
    at::Tensor state = initial_state(r);
    const auto whole_of = [&](std::int64_t n) {
        return whole.select(2, whole.size(2) == 1 ? 0 : n);
    };

    std::vector<at::Tensor> entering;
    at::Tensor values = v;
    if (!r.beta.defined()) {
        const at::Tensor added = at::matmul(keys_to_end, v);
        for (std::int64_t n = 0; n < chunks; ++n) {
            entering.push_back(state);
            state = state * whole_of(n) + added.select(2, n);
        }
    } else {
        const at::Tensor beta = gates_in_chunks(r.beta, chunks, length).unsqueeze(-1);
        const at::Tensor lower = (at::matmul(k * beta, k.transpose(-1, -2)) * between).tril(-1);
        const std::int64_t key_dim = k.size(-1);
        const at::Tensor solved =
            at::linalg_solve_triangular(lower,
                                        at::cat({k * (beta * from_start), v * beta}, -1),
                                        /*upper=*/false,
                                        /*left=*/true,
                                        /*unitriangular=*/true);
        const at::Tensor from_state = solved.narrow(-1, 0, key_dim);
        const at::Tensor stateless = solved.narrow(-1, key_dim, v.size(-1));
        std::vector<at::Tensor> corrected;
        for (std::int64_t n = 0; n < chunks; ++n) {
            entering.push_back(state);
            corrected.push_back(stateless.select(2, n) -
                                at::matmul(from_state.select(2, n), state));
            state = state * whole_of(n) + at::matmul(keys_to_end.select(2, n), corrected.back());
        }
        values = at::stack(corrected, 2);
    }
    const at::Tensor output =
        at::matmul(scores, values) + at::matmul(q * from_start, at::stack(entering, 2));
    return {.output = output.permute({0, 2, 3, 1, 4})
                          .reshape({r.q.size(0), chunks * length, r.q.size(2), r.v.size(3)}),
            .state = state};
}

Recurrence part_of(const Recurrence& r, std::int64_t first, std::int64_t length) {
    const auto cut = [&](const at::Tensor& x) { return x.narrow(1, first, length); };
    return {.q = cut(r.q),
            .k = cut(r.k),
            .v = cut(r.v),
            .decay = r.decay.dim() == 1 ? r.decay : cut(r.decay),
            .beta = r.beta.defined() ? cut(r.beta) : r.beta,
            .state = r.state,
            .scale = r.scale};
}

/// Head by head, without tensors between the products.
RecurrenceResult run_in_kernel(const Recurrence& r) {
    const at::Tensor q = r.q.contiguous();
    const at::Tensor k = r.k.contiguous();
    const at::Tensor v = r.v.contiguous();
    const at::Tensor decay = r.decay.contiguous();
    const at::Tensor beta = r.beta.defined() ? r.beta.contiguous() : r.beta;
    const at::Tensor state = initial_state(r).clone(at::MemoryFormat::Contiguous);
    at::Tensor output = at::empty_like(v);
    const std::int64_t length = q.size(1);
    const std::int64_t heads = q.size(2);
    const std::int64_t key_dim = q.size(3);
    const std::int64_t value_dim = v.size(3);
    const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    at::parallel_for(0, q.size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> scratch(
            cpu::recurrent_chunk_scratch(size(chunk_length), size(key_dim), size(value_dim)));
        for (std::int64_t i = begin; i < end; ++i) {
            for (std::int64_t first = 0; first < length; first += chunk_length) {
                const std::int64_t row = (i / heads * length + first) * heads + i % heads;
                const bool is_fixed = decay.dim() == 1;
                cpu::recurrent_chunk(
                    state.mutable_data_ptr<float>() + i * key_dim * value_dim,
                    {.q = q.const_data_ptr<float>() + row * key_dim,
                     .k = k.const_data_ptr<float>() + row * key_dim,
                     .v = v.const_data_ptr<float>() + row * value_dim,
                     .decay = decay.const_data_ptr<float>() + (is_fixed ? i % heads : row),
                     .beta = beta.defined() ? beta.const_data_ptr<float>() + row : nullptr,
                     .out = output.mutable_data_ptr<float>() + row * value_dim,
                     .length = size(std::min(chunk_length, length - first)),
                     .key_dim = size(key_dim),
                     .value_dim = size(value_dim),
                     .key_stride = size(heads * key_dim),
                     .value_stride = size(heads * value_dim),
                     .decay_stride = is_fixed ? 0 : size(heads),
                     .beta_stride = size(heads),
                     .scale = static_cast<float>(r.scale)},
                    scratch.data());
            }
        }
    });
    return {.output = output, .state = state};
}

}  // namespace

RecurrenceResult naive_recurrence(const Recurrence& r) {
    check(r);
    at::Tensor state = initial_state(r);
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < r.q.size(1); ++t) {
        const at::Tensor k = r.k.select(1, t).unsqueeze(-1);  // [B, H, K, 1]
        at::Tensor u = r.v.select(1, t).unsqueeze(-2);        // [B, H, 1, V]
        state = state * decay_factor(r, t);
        if (r.beta.defined()) {
            const at::Tensor beta = r.beta.select(1, t).unsqueeze(-1).unsqueeze(-1);
            u = beta * (u - (state * k).sum(-2, /*keepdim=*/true));
        }
        state = state + k * u;
        outputs.push_back((state * r.q.select(1, t).unsqueeze(-1)).sum(-2) * r.scale);
    }
    return {.output = at::stack(outputs, 1), .state = state};
}

RecurrenceResult chunked_recurrence(const Recurrence& r) {
    check(r);
    if (runs_in_kernel(r)) {
        return run_in_kernel(r);
    }
    const std::int64_t length = r.q.size(1);
    const std::int64_t chunks = length / chunk_length;
    const std::int64_t whole = chunks * chunk_length;
    if (whole == length) {
        return run_chunks(r, chunks, chunk_length);
    }
    if (whole == 0) {
        return run_chunks(r, 1, length);
    }
    const RecurrenceResult first = run_chunks(part_of(r, 0, whole), chunks, chunk_length);
    Recurrence rest = part_of(r, whole, length - whole);
    rest.state = first.state;
    const RecurrenceResult last = run_chunks(rest, 1, length - whole);
    return {.output = at::cat({first.output, last.output}, 1), .state = last.state};
}

RecurrenceResult step_recurrence(const Recurrence& r) {
    check(r);
    check_shape(r.q, {-1, 1, -1, -1}, "queries of one step");
    if (!runs_in_kernel(r)) {
        return naive_recurrence(r);
    }
    const at::Tensor q = r.q.contiguous();
    const at::Tensor k = r.k.contiguous();
    const at::Tensor v = r.v.contiguous();
    const at::Tensor beta = r.beta.defined() ? r.beta.contiguous() : r.beta;
    const at::Tensor decay = r.decay.contiguous();
    const at::Tensor state = initial_state(r).contiguous();
    at::Tensor output = at::empty_like(v);
    const std::int64_t heads = q.size(2);
    const std::int64_t key_dim = q.size(3);
    const std::int64_t value_dim = v.size(3);
    at::parallel_for(0, q.size(0) * heads, 4, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t gate = decay.dim() == 1 ? i % heads : i;
            cpu::recurrent_step(state.mutable_data_ptr<float>() + i * key_dim * value_dim,
                                {.q = q.const_data_ptr<float>() + i * key_dim,
                                 .k = k.const_data_ptr<float>() + i * key_dim,
                                 .v = v.const_data_ptr<float>() + i * value_dim,
                                 .out = output.mutable_data_ptr<float>() + i * value_dim,
                                 .key_dim = static_cast<std::size_t>(key_dim),
                                 .value_dim = static_cast<std::size_t>(value_dim),
                                 .decay = std::exp(decay.const_data_ptr<float>()[gate]),
                                 .beta = beta.defined() ? beta.const_data_ptr<float>()[i] : 1.0F,
                                 .scale = static_cast<float>(r.scale),
                                 .corrects = beta.defined()});
        }
    });
    return {.output = output, .state = state};
}

RecurrenceResult run_recurrence(const Recurrence& r) {
    return r.q.size(1) == 1 && !records_gradients(r) ? step_recurrence(r) : chunked_recurrence(r);
}

}  // namespace anamnesis::runtime
