// SPDX-License-Identifier: Apache-2.0
#include "state_space.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/base/check.hpp"

#include "cpu_kernels.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::GatedNorm;

constexpr std::int64_t chunk_length = 64;
/// Tokens whose scores are in memory at once: what a long text costs grows with its length alone.
constexpr std::int64_t block_length = 64 * chunk_length;

void check(const StateSpace& in) {
    check_shape(in.x, {-1, -1, -1, -1}, "inputs of a state space");
    const std::int64_t batch = in.x.size(0);
    const std::int64_t length = in.x.size(1);
    const std::int64_t heads = in.x.size(2);
    check_shape(in.step, {batch, length, heads}, "steps of a state space");
    check_shape(in.b, {batch, length, -1, -1}, "B of a state space");
    check_shape(in.c, in.b.sizes(), "C of a state space");
    ANAMNESIS_CHECK(heads % in.b.size(2) == 0, "heads share B and C in equal groups");
    if (in.state.defined()) {
        check_shape(in.state, {batch, heads, in.b.size(3), in.x.size(3)}, "state of a state space");
    }
}

/// What one head after the other runs on: `decay` and `x` already times the step.
struct Block {
    at::Tensor x{};      ///< [B, T, H, P]
    at::Tensor decay{};  ///< [B, T, H], a logarithm
    at::Tensor b{}, c{};
    at::Tensor state{};
};

bool runs_in_kernel(const Block& block) {
    const auto is_plain = [](const at::Tensor& x) {
        return x.is_cpu() && x.scalar_type() == at::kFloat && !records_gradients(x);
    };
    return is_plain(block.x) && is_plain(block.decay) && is_plain(block.b) && is_plain(block.c) &&
           is_plain(block.state);
}

/// Running sums along the last dimension whose differences are exact to the type of `x`, however
/// far they are from zero: a sum is two numbers.
struct RunningSums {
    explicit RunningSums(const at::Tensor& x) {
        const at::Tensor exact = at::cumsum(x, -1, at::kDouble);
        sum = exact.to(x.scalar_type());
        rest = (exact - sum.to(at::kDouble)).to(x.scalar_type());
    }

    at::Tensor sum{}, rest{};

    /// [..., i, j]: what lies after j up to i.
    at::Tensor between() const {
        return (sum.unsqueeze(-1) - sum.unsqueeze(-2)) + (rest.unsqueeze(-1) - rest.unsqueeze(-2));
    }
    at::Tensor to_end() const {
        const std::int64_t last = sum.size(-1) - 1;
        return (sum.narrow(-1, last, 1) - sum) + (rest.narrow(-1, last, 1) - rest);
    }
};

/// exp below the diagonal, 1 on it, else 0. Masked before it is raised: above the diagonal it may
/// overflow, and infinity times zero is no number. On the diagonal no gradient flows, which would
/// be the difference of two large ones.
at::Tensor exp_of_lower(const at::Tensor& x) {
    const at::Tensor all = at::ones({x.size(-2), x.size(-1)}, x.options().dtype(at::kBool));
    return at::exp(x.masked_fill(all.triu(1), -INFINITY).masked_fill(all.tril().triu(), 0.0));
}

/// The states that enter the chunks, and the last: S_(n+1) = e^(log_whole_n) S_n + added_n, all n
/// at once. Shapes: log_whole [B, H, M], added [B, M, H, N, P], first [B, H, N, P] ->
/// [B, H, M + 1, N, P].
at::Tensor chain_states(const at::Tensor& log_whole,
                        const at::Tensor& added,
                        const at::Tensor& first) {
    const at::Tensor all = at::cat({first.unsqueeze(2), added.transpose(1, 2)}, 2);
    const RunningSums sums(at::constant_pad_nd(log_whole, {1, 0}));
    return at::matmul(exp_of_lower(sums.between()), all.flatten(3)).view(all.sizes());
}

/// Whole chunks of one length, as tensors. Heads of a group lie side by side in the columns of
/// products with the B or C that they share.
StateSpaceResult run_chunks(const Block& in, std::int64_t length) {
    const std::int64_t batch = in.x.size(0);
    const std::int64_t chunks = in.x.size(1) / length;
    const std::int64_t heads = in.x.size(2);
    const std::int64_t width = in.x.size(3);
    const std::int64_t groups = in.b.size(2);
    const std::int64_t share = heads / groups;
    const std::int64_t size = in.b.size(3);
    const auto in_chunks = [&](const at::Tensor& x) {  // [B, T, A, W] -> [B, M, A, C, W]
        return x.view({batch, chunks, length, x.size(2), x.size(3)}).transpose(2, 3);
    };
    const auto by_group = [&](const at::Tensor& x) {  // [B, M, H, C, P] -> [B, M, G, C, S P]
        return x.view({batch, chunks, groups, share, length, width})
            .transpose(3, 4)
            .reshape({batch, chunks, groups, length, share * width});
    };
    const auto by_head = [&](const at::Tensor& x, std::int64_t rows) {  // the way back
        return x.view({batch, chunks, groups, rows, share, width})
            .transpose(3, 4)
            .reshape({batch, chunks, heads, rows, width});
    };
    const at::Tensor x = in_chunks(in.x.contiguous()).contiguous();
    const at::Tensor b = in_chunks(in.b.contiguous()).contiguous();
    const at::Tensor c = in_chunks(in.c.contiguous()).contiguous();
    // [B, M, H, C]
    const RunningSums sums(
        in.decay.contiguous().view({batch, chunks, length, heads}).transpose(2, 3).contiguous());
    const at::Tensor scores = at::matmul(c, b.transpose(-1, -2)).unsqueeze(3);
    const at::Tensor weights =
        (scores * exp_of_lower(sums.between()).view({batch, chunks, groups, share, length, length}))
            .view({batch, chunks, heads, length, length});
    const at::Tensor to_end = at::exp(sums.to_end()).unsqueeze(-1);
    const at::Tensor added = by_head(at::matmul(b.transpose(-1, -2), by_group(x * to_end)), size);
    const at::Tensor states = chain_states(
        sums.sum.select(-1, length - 1).transpose(1, 2), added, in.state);  // [B, H, M + 1, N, P]
    const at::Tensor entering = states.narrow(2, 0, chunks)
                                    .transpose(1, 2)
                                    .reshape({batch, chunks, groups, share, size, width})
                                    .transpose(3, 4)
                                    .reshape({batch, chunks, groups, size, share * width});
    const at::Tensor output = at::matmul(weights, x) + by_head(at::matmul(c, entering), length) *
                                                           at::exp(sums.sum).unsqueeze(-1);
    return {.output = output.transpose(2, 3).reshape(in.x.sizes()),
            .state = states.select(2, chunks).contiguous()};
}

Block narrow_time(const Block& block, std::int64_t first, std::int64_t length) {
    const auto cut = [&](const at::Tensor& x) { return x.narrow(1, first, length); };
    return {.x = cut(block.x),
            .decay = cut(block.decay),
            .b = cut(block.b),
            .c = cut(block.c),
            .state = block.state};
}

StateSpaceResult run_as_tensors(const Block& block) {
    const std::int64_t length = block.x.size(1);
    const std::int64_t whole = length / chunk_length * chunk_length;
    if (whole == 0 || whole == length) {
        return run_chunks(block, std::min(length, chunk_length));
    }
    const StateSpaceResult first = run_chunks(narrow_time(block, 0, whole), chunk_length);
    Block rest = narrow_time(block, whole, length - whole);
    rest.state = first.state;
    const StateSpaceResult last = run_chunks(rest, length - whole);
    return {.output = at::cat({first.output, last.output}, 1), .state = last.state};
}

/// c b^T of every chunk of every group, filled up with zeros: [B, chunks, G, C, C].
at::Tensor make_scores(const Block& block) {
    const std::int64_t length = block.x.size(1);
    const std::int64_t chunks = (length + chunk_length - 1) / chunk_length;
    const auto in_chunks = [&](const at::Tensor& x) {
        const at::Tensor filled =
            chunks * chunk_length == length
                ? x
                : at::constant_pad_nd(x, {0, 0, 0, 0, 0, chunks * chunk_length - length});
        return filled.view({x.size(0), chunks, chunk_length, x.size(2), x.size(3)}).transpose(2, 3);
    };
    return at::matmul(in_chunks(block.c), in_chunks(block.b).transpose(-1, -2));
}

/// Head by head, without tensors between the products.
StateSpaceResult run_in_kernel(const Block& in) {
    const Block block{.x = in.x.contiguous(),
                      .decay = in.decay.contiguous(),
                      .b = in.b.contiguous(),
                      .c = in.c.contiguous(),
                      .state = in.state.clone(at::MemoryFormat::Contiguous)};
    const at::Tensor scores = make_scores(block);
    at::Tensor output = at::empty_like(block.x);
    const std::int64_t length = in.x.size(1);
    const std::int64_t heads = in.x.size(2);
    const std::int64_t width = in.x.size(3);
    const std::int64_t groups = in.b.size(2);
    const std::int64_t size = in.b.size(3);
    const std::int64_t chunks = scores.size(1);
    const auto count = [](std::int64_t value) { return static_cast<std::size_t>(value); };
    at::parallel_for(0, in.x.size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> scratch(
            cpu::recurrent_chunk_scratch(count(chunk_length), count(size), count(width)));
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t text = i / heads;
            const std::int64_t head = i % heads;
            const std::int64_t group = head / (heads / groups);
            for (std::int64_t n = 0; n < chunks; ++n) {
                const std::int64_t row = text * length + n * chunk_length;
                const std::int64_t shared = (row * groups + group) * size;
                const std::int64_t own = row * heads + head;
                cpu::recurrent_chunk(
                    block.state.mutable_data_ptr<float>() + i * size * width,
                    {.q = block.c.const_data_ptr<float>() + shared,
                     .k = block.b.const_data_ptr<float>() + shared,
                     .v = block.x.const_data_ptr<float>() + own * width,
                     .decay = block.decay.const_data_ptr<float>() + own,
                     .scores = scores.const_data_ptr<float>() +
                               ((text * chunks + n) * groups + group) * chunk_length * chunk_length,
                     .out = output.mutable_data_ptr<float>() + own * width,
                     .length = count(std::min(chunk_length, length - n * chunk_length)),
                     .key_dim = count(size),
                     .value_dim = count(width),
                     .key_stride = count(groups * size),
                     .value_stride = count(heads * width),
                     .decay_stride = count(heads),
                     .scores_stride = count(chunk_length)},
                    scratch.data());
            }
        }
    });
    return {.output = output, .state = block.state};
}

}  // namespace

at::Tensor make_steps(const at::Tensor& dt,
                      const at::Tensor& bias,
                      const checkpoint::Mamba2Spec& spec) {
    const at::Tensor steps = at::softplus(dt + bias);
    return spec.least_step > 0.0 || std::isfinite(spec.greatest_step)
               ? steps.clamp(spec.least_step, spec.greatest_step)
               : steps;
}

StateSpaceResult run_state_space(const StateSpace& input) {
    check(input);
    const std::int64_t length = input.x.size(1);
    Block whole{
        .x = input.x * input.step.unsqueeze(-1),
        .decay = input.step * -at::exp(input.log_rate),
        .b = input.b,
        .c = input.c,
        .state =
            input.state.defined()
                ? input.state
                : at::zeros({input.x.size(0), input.x.size(2), input.b.size(3), input.x.size(3)},
                            input.x.options())};
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < length; first += block_length) {
        const Block block = narrow_time(whole, first, std::min(block_length, length - first));
        const StateSpaceResult result =
            runs_in_kernel(block) ? run_in_kernel(block) : run_as_tensors(block);
        whole.state = result.state;
        outputs.push_back(result.output);
    }
    const at::Tensor mixed = outputs.size() == 1 ? outputs.front() : at::cat(outputs, 1);
    return {.output = mixed.addcmul(input.x, input.skip.unsqueeze(-1)), .state = whole.state};
}

at::Tensor apply_gated_norm(const RmsNorm& norm,
                            const at::Tensor& y,
                            const at::Tensor& z,
                            const checkpoint::Mamba2Spec& spec) {
    const auto normalised = [&](const at::Tensor& x) {
        if (spec.groups == 1) {
            return apply(norm, x);
        }
        const std::int64_t width = x.size(-1) / spec.groups;
        const at::Tensor rows = x.reshape({x.size(0), x.size(1), spec.groups, width});
        const RmsNorm plain{.gain = at::ones({width}, norm.gain.options().requires_grad(false)),
                            .eps = norm.eps};
        return apply(plain, rows).view(x.sizes()) * norm.gain;
    };
    switch (spec.norm) {
        case GatedNorm::none:
            return swiglu(z, y);
        case GatedNorm::gate_first:
            return normalised(swiglu(z, y));
        case GatedNorm::norm_first:
            return swiglu(z, normalised(y));
    }
    return y;
}

}  // namespace anamnesis::runtime
