// SPDX-License-Identifier: Apache-2.0
#include "recurrence.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "chunk_states.hpp"
#include "cpu_kernels.hpp"
#include "norm.hpp"
#include "recurrent_chunks.hpp"

namespace anamnesis::runtime {
namespace {

constexpr std::int64_t chunk_length = 64;

/// True where each key channel has a decay of its own.
bool decays_by_channel(const Recurrence& r) {
    return r.decay.dim() == 4;
}

void check(const Recurrence& r) {
    const std::int64_t batch = r.q.size(0);
    const std::int64_t length = r.q.size(1);
    const std::int64_t heads = r.q.size(2);
    check_shape(r.k, r.q.sizes(), "keys of a recurrence");
    check_shape(r.v, {batch, length, heads, -1}, "values of a recurrence");
    if (decays_by_channel(r)) {
        check_shape(r.decay, r.q.sizes(), "decays of a recurrence");
    }
    if (r.state.defined()) {
        check_shape(r.state, {batch, heads, r.q.size(3), r.v.size(3)}, "state of a recurrence");
    }
}

at::Tensor initial_state(const Recurrence& r) {
    return r.state.defined()
               ? r.state
               : at::zeros({r.q.size(0), r.q.size(2), r.q.size(3), r.v.size(3)}, r.v.options());
}

/// [B or 1, H, 1 or K, 1]: the factor of step t on the state.
at::Tensor decay_factor(const Recurrence& r, std::int64_t t) {
    const at::Tensor decay = r.decay.dim() == 1 ? r.decay.unsqueeze(0) : r.decay.select(1, t);
    const at::Tensor factor = at::exp(decay).unsqueeze(-1);
    return decays_by_channel(r) ? factor : factor.unsqueeze(-1);
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

/// Values as if no chunk had others before it, and what turns the state before each into their
/// correction: U = stateless - from_state S.
struct Corrections {
    at::Tensor from_state{};  ///< [B, H, N, C, K]
    at::Tensor stateless{};   ///< [B, H, N, C, V]
};

Corrections compute_corrections(const Recurrence& r, const Chunks& in, bool by_products) {
    const at::Tensor beta = gates_in_chunks(r.beta, in.k.size(2), in.k.size(3)).unsqueeze(-1);
    const at::Tensor lower = (in.key_scores * beta).tril(-1);
    const at::Tensor right = at::cat({in.k * (beta * in.from_start), in.v * beta}, -1);
    const at::Tensor solved = by_products ? at::matmul(inverse_of_unit_lower(lower), right)
                                          : at::linalg_solve_triangular(lower,
                                                                        right,
                                                                        /*upper=*/false,
                                                                        /*left=*/true,
                                                                        /*unitriangular=*/true);
    const std::int64_t key_dim = in.k.size(-1);
    return {.from_state = solved.narrow(-1, 0, key_dim),
            .stateless = solved.narrow(-1, key_dim, in.v.size(-1))};
}

RecurrenceResult make_result(const Recurrence& r,
                             const Chunks& in,
                             const at::Tensor& values,
                             const at::Tensor& entering,
                             const at::Tensor& state) {
    const at::Tensor output =
        at::matmul(in.scores, values) + at::matmul(in.q * in.from_start, entering);
    return {
        .output =
            output.permute({0, 2, 3, 1, 4}).reshape({r.q.size(0), -1, r.q.size(2), r.v.size(3)}),
        .state = state};
}

/// Whole chunks of one length.
RecurrenceResult run_chunks(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    const Chunks in = cut_into_chunks(r, chunks, length);
    const at::Tensor whole = at::exp(in.log_whole).unsqueeze(-1);
    const auto whole_decay = [&](std::int64_t n) {
        return whole.select(2, whole.size(2) == 1 ? 0 : n);
    };
    at::Tensor state = initial_state(r);
    std::vector<at::Tensor> entering;
    at::Tensor values = in.v;
    if (!r.beta.defined()) {
        const at::Tensor added = at::matmul(in.keys_to_end, in.v);
        for (std::int64_t n = 0; n < chunks; ++n) {
            entering.push_back(state);
            state = state * whole_decay(n) + added.select(2, n);
        }
    } else {
        const Corrections corrections = compute_corrections(r, in, /*by_products=*/false);
        std::vector<at::Tensor> corrected;
        for (std::int64_t n = 0; n < chunks; ++n) {
            entering.push_back(state);
            corrected.push_back(corrections.stateless.select(2, n) -
                                at::matmul(corrections.from_state.select(2, n), state));
            state =
                state * whole_decay(n) + at::matmul(in.keys_to_end.select(2, n), corrected.back());
        }
        values = at::stack(corrected, 2);
    }
    return make_result(r, in, values, at::stack(entering, 2), state);
}

/// True where an operator costs its launch, whatever it computes, and none needs a gradient.
bool runs_in_few_operators(const Recurrence& r) {
    return !r.q.is_cpu() && !records_gradients(r) && (r.beta.defined() || r.decay.dim() == 1);
}

/// `run_chunks` with at most one operator for each chunk.
RecurrenceResult run_chunks_together(const Recurrence& r,
                                     std::int64_t chunks,
                                     std::int64_t length) {
    const Chunks in = cut_into_chunks(r, chunks, length);
    if (!r.beta.defined()) {
        const ChunkStates states = decayed_states(r.decay * static_cast<double>(length),
                                                  at::matmul(in.keys_to_end, in.v),
                                                  initial_state(r));
        return make_result(r, in, in.v, states.entering, states.last);
    }
    const Corrections corrections = compute_corrections(r, in, /*by_products=*/true);
    // S_(n+1) = e^g S_n + K^T (stateless - from_state S_n)
    at::Tensor transition = at::matmul(in.keys_to_end, corrections.from_state).neg_();
    transition.diagonal(0, -2, -1).add_(at::exp(in.log_whole));
    const ChunkStates states = multiplied_states(
        transition, at::matmul(in.keys_to_end, corrections.stateless), initial_state(r));
    const at::Tensor values =
        corrections.stateless - at::matmul(corrections.from_state, states.entering);
    return make_result(r, in, values, states.entering, states.last);
}

/// Chunks of one length, by whichever form suits.
RecurrenceResult run_whole_chunks(const Recurrence& r, std::int64_t chunks, std::int64_t length) {
    return runs_in_few_operators(r) ? run_chunks_together(r, chunks, length)
                                    : run_chunks(r, chunks, length);
}

Recurrence narrow_time(const Recurrence& r, std::int64_t first, std::int64_t length) {
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
    const bool is_fixed = decay.dim() == 1;
    const bool is_wide = decays_by_channel(r);
    // The kernel by channels cuts a text into chunks of its own.
    const std::int64_t step = is_wide ? length : chunk_length;
    const std::int64_t decays = is_wide ? key_dim : 1;
    const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    at::parallel_for(0, q.size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> scratch(
            is_wide
                ? cpu::channel_recurrence_scratch(size(key_dim), size(value_dim))
                : cpu::recurrent_chunk_scratch(size(chunk_length), size(key_dim), size(value_dim)));
        for (std::int64_t i = begin; i < end; ++i) {
            for (std::int64_t first = 0; first < length; first += step) {
                const std::int64_t row = (i / heads * length + first) * heads + i % heads;
                const cpu::RecurrentChunk tokens{
                    .q = q.const_data_ptr<float>() + row * key_dim,
                    .k = k.const_data_ptr<float>() + row * key_dim,
                    .v = v.const_data_ptr<float>() + row * value_dim,
                    .decay = decay.const_data_ptr<float>() + (is_fixed ? i % heads : row * decays),
                    .beta = beta.defined() ? beta.const_data_ptr<float>() + row : nullptr,
                    .out = output.mutable_data_ptr<float>() + row * value_dim,
                    .length = size(std::min(step, length - first)),
                    .key_dim = size(key_dim),
                    .value_dim = size(value_dim),
                    .key_stride = size(heads * key_dim),
                    .value_stride = size(heads * value_dim),
                    .out_stride = size(heads * value_dim),
                    .decay_stride = is_fixed ? 0 : size(heads * decays),
                    .beta_stride = size(heads),
                    .scale = static_cast<float>(r.scale)};
                float* const held = state.mutable_data_ptr<float>() + i * key_dim * value_dim;
                (is_wide ? cpu::channel_recurrence : cpu::recurrent_chunk)(
                    held, tokens, scratch.data());
            }
        }
    });
    return {.output = output, .state = state};
}

/// `naive_recurrence` of one token in products of matrices.
RecurrenceResult step_by_products(const Recurrence& r) {
    const auto rows = [](const at::Tensor& x) {
        return x.select(1, 0).flatten(0, 1).unsqueeze(1);  // [B H, 1, K or V]
    };
    const at::Tensor before = initial_state(r);
    at::Tensor state = (before * decay_factor(r, 0)).flatten(0, 1);
    at::Tensor u = rows(r.v);
    if (r.beta.defined()) {
        u = (u - at::bmm(rows(r.k), state)) * r.beta.flatten().view({-1, 1, 1});
    }
    state.baddbmm_(rows(r.k).transpose(1, 2), u);
    const at::Tensor output = at::bmm(rows(r.q) * r.scale, state);
    return {.output = output.view(r.v.sizes()), .state = state.view(before.sizes())};
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
        return run_whole_chunks(r, chunks, chunk_length);
    }
    if (whole == 0) {
        return run_whole_chunks(r, 1, length);
    }
    const RecurrenceResult first = run_whole_chunks(narrow_time(r, 0, whole), chunks, chunk_length);
    Recurrence rest = narrow_time(r, whole, length - whole);
    rest.state = first.state;
    const RecurrenceResult last = run_whole_chunks(rest, 1, length - whole);
    return {.output = at::cat({first.output, last.output}, 1), .state = last.state};
}

RecurrenceResult step_recurrence(const Recurrence& r) {
    check(r);
    check_shape(r.q, {-1, 1, -1, -1}, "queries of one step");
    if (!runs_in_kernel(r)) {
        return runs_in_few_operators(r) ? step_by_products(r) : naive_recurrence(r);
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
    const bool is_wide = decays_by_channel(r);
    const at::Tensor factors = at::exp(decay);
    at::parallel_for(0, q.size(0) * heads, 4, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t gate = decay.dim() == 1 ? i % heads : i * (is_wide ? key_dim : 1);
            const float* const factor = factors.const_data_ptr<float>() + gate;
            cpu::recurrent_step(state.mutable_data_ptr<float>() + i * key_dim * value_dim,
                                {.q = q.const_data_ptr<float>() + i * key_dim,
                                 .k = k.const_data_ptr<float>() + i * key_dim,
                                 .v = v.const_data_ptr<float>() + i * value_dim,
                                 .out = output.mutable_data_ptr<float>() + i * value_dim,
                                 .key_dim = static_cast<std::size_t>(key_dim),
                                 .value_dim = static_cast<std::size_t>(value_dim),
                                 .decay = *factor,
                                 .channel_decays = is_wide ? factor : nullptr,
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
