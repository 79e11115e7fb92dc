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
#include <ATen/ops/empty.h>
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

bool runs_in_kernel(const StateSpace& in) {
    const auto is_plain = [](const at::Tensor& x) {
        return !x.defined() ||
               (x.is_cpu() && x.scalar_type() == at::kFloat && !records_gradients(x));
    };
    return is_plain(in.x) && is_plain(in.step) && is_plain(in.b) && is_plain(in.c) &&
           is_plain(in.log_rate) && is_plain(in.skip) && is_plain(in.state);
}

/// What chunks run on: x is already times the step.
struct Block {
    at::Tensor x{};      ///< [B, T, H, P]
    at::Tensor decay{};  ///< [B, T, H], a logarithm
    at::Tensor b{}, c{};
    at::Tensor state{};
};

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
at::Tensor make_scores(const at::Tensor& c, const at::Tensor& b) {
    const std::int64_t length = b.size(1);
    const std::int64_t chunks = (length + chunk_length - 1) / chunk_length;
    const auto in_chunks = [&](const at::Tensor& x) {
        const at::Tensor filled =
            chunks * chunk_length == length
                ? x.contiguous()
                : at::constant_pad_nd(x, {0, 0, 0, 0, 0, chunks * chunk_length - length});
        return filled.view({x.size(0), chunks, chunk_length, x.size(2), x.size(3)}).transpose(2, 3);
    };
    return at::matmul(in_chunks(c), in_chunks(b).transpose(-1, -2)).contiguous();
}

/// With the values of a head side by side, as the kernel takes them; heads and tokens anywhere.
at::Tensor with_heads_whole(const at::Tensor& x) {
    return x.stride(3) == 1 ? x : x.contiguous();
}

std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
}

/// A text of at most `block_length` tokens, head by head, without tensors between the products.
class KernelRun {
public:
    /// `output` [B, T, H, P] and `state` [B, H, N, P] are written and moved on.
    KernelRun(const StateSpace& in, const at::Tensor& output, const at::Tensor& state)
        : x_(with_heads_whole(in.x)),
          b_(with_heads_whole(in.b)),
          c_(with_heads_whole(in.c)),
          step_(in.step.contiguous()),
          rate_(-at::exp(in.log_rate)),
          decay_(step_ * rate_),
          skip_(in.skip.contiguous()),
          scores_(make_scores(in.c, in.b)),
          output_(output),
          state_(state) {}

    /// The chunk from token `first` on of head h of text b, whose number is b H + h.
    void run_chunk(std::int64_t number, std::int64_t first, float* scratch) const {
        const std::int64_t heads = x_.size(2);
        const std::int64_t text = number / heads;
        const std::int64_t head = number % heads;
        const std::int64_t group = head / (heads / b_.size(2));
        const std::int64_t length = x_.size(1);
        const auto at = [&](const at::Tensor& x, std::int64_t part) {
            return x.const_data_ptr<float>() + text * x.stride(0) + first * x.stride(1) +
                   part * x.stride(2);
        };
        cpu::recurrent_chunk(
            state_.mutable_data_ptr<float>() + number * state_.stride(1),
            {.q = at(c_, group),
             .k = at(b_, group),
             .v = at(x_, head),
             .decay = at(decay_, head),
             .scores = scores_.const_data_ptr<float>() + text * scores_.stride(0) +
                       first / chunk_length * scores_.stride(1) + group * scores_.stride(2),
             .steps = at(step_, head),
             .out = output_.mutable_data_ptr<float>() + text * output_.stride(0) +
                    first * output_.stride(1) + head * output_.stride(2),
             .length = size(std::min(chunk_length, length - first)),
             .key_dim = size(b_.size(3)),
             .value_dim = size(x_.size(3)),
             .key_stride = size(b_.stride(1)),
             .value_stride = size(x_.stride(1)),
             .out_stride = size(output_.stride(1)),
             .decay_stride = size(step_.stride(1)),
             .scores_stride = size(chunk_length),
             .skip = skip_.const_data_ptr<float>()[head]},
            scratch);
    }

private:
    at::Tensor x_, b_, c_;
    at::Tensor step_, rate_, decay_, skip_;
    at::Tensor scores_;
    at::Tensor output_, state_;
};

StateSpace narrow_time(const StateSpace& in, std::int64_t first, std::int64_t length) {
    StateSpace part = in;
    for (at::Tensor StateSpace::* member :
         {&StateSpace::x, &StateSpace::step, &StateSpace::b, &StateSpace::c}) {
        part.*member = (in.*member).narrow(1, first, length);
    }
    return part;
}

StateSpaceResult run_in_kernel(const StateSpace& in) {
    const std::int64_t length = in.x.size(1);
    const at::Tensor output = at::empty(in.x.sizes(), in.x.options());
    const at::Tensor state = in.state.clone(at::MemoryFormat::Contiguous);
    for (std::int64_t first = 0; first < length; first += block_length) {
        const std::int64_t count = std::min(block_length, length - first);
        const KernelRun block(narrow_time(in, first, count), output.narrow(1, first, count), state);
        at::parallel_for(
            0, in.x.size(0) * in.x.size(2), 1, [&](std::int64_t begin, std::int64_t end) {
                std::vector<float> scratch(cpu::recurrent_chunk_scratch(
                    size(chunk_length), size(in.b.size(3)), size(in.x.size(3))));
                // Heads lie side by side in a token's row: a chunk's rows stay in the cache for
                // all.
                for (std::int64_t from = 0; from < count; from += chunk_length) {
                    for (std::int64_t i = begin; i < end; ++i) {
                        block.run_chunk(i, from, scratch.data());
                    }
                }
            });
    }
    return {.output = output, .state = state};
}

StateSpaceResult run_in_blocks(const StateSpace& in) {
    const std::int64_t length = in.x.size(1);
    Block whole{.x = in.x * in.step.unsqueeze(-1),
                .decay = in.step * -at::exp(in.log_rate),
                .b = in.b,
                .c = in.c,
                .state = in.state};
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < length; first += block_length) {
        const StateSpaceResult result =
            run_as_tensors(narrow_time(whole, first, std::min(block_length, length - first)));
        whole.state = result.state;
        outputs.push_back(result.output);
    }
    const at::Tensor mixed = outputs.size() == 1 ? outputs.front() : at::cat(outputs, 1);
    return {.output = mixed.addcmul(in.x, in.skip.unsqueeze(-1)), .state = whole.state};
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
    StateSpace in = input;
    if (!in.state.defined()) {
        in.state =
            at::zeros({in.x.size(0), in.x.size(2), in.b.size(3), in.x.size(3)}, in.x.options());
    }
    return runs_in_kernel(in) ? run_in_kernel(in) : run_in_blocks(in);
}

at::Tensor apply_gated_norm(const RmsNorm& norm,
                            const at::Tensor& y,
                            const at::Tensor& z,
                            const checkpoint::Mamba2Spec& spec) {
    const auto normalised = [&](const at::Tensor& x) {
        return apply_in_groups(norm, x, spec.groups);
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
