// SPDX-License-Identifier: Apache-2.0
#include "selective_scan.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_selective_scan.hpp"
#include "linear_scan.hpp"

namespace anamnesis::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// Tokens whose states are in memory at once where LibTorch's operators do the work.
constexpr std::int64_t chunk_length = 64;

void check(const SelectiveScan& in) {
    check_shape(in.x, {-1, -1, -1}, "inputs of a selective scan");
    const std::int64_t states = in.b.size(2);
    check_shape(in.step, in.x.sizes(), "steps of a selective scan");
    check_shape(in.b, {in.x.size(0), in.x.size(1), -1}, "B of a selective scan");
    check_shape(in.c, in.b.sizes(), "C of a selective scan");
    check_shape(in.log_rate, {in.x.size(2), states}, "rates of a selective scan");
    if (in.state.defined()) {
        check_shape(in.state, {in.x.size(0), in.x.size(2), states}, "state of a selective scan");
    }
}

std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
}

/// The inputs of the kernels, side by side in memory.
struct Scan {
    at::Tensor x, step, rate, b, c, skip;

    std::int64_t texts() const { return x.size(0); }
    std::int64_t length() const { return x.size(1); }
    std::int64_t channels() const { return x.size(2); }
    std::int64_t states() const { return b.size(2); }
    /// Passes that a text takes.
    std::int64_t passes() const {
        constexpr auto lanes = static_cast<std::int64_t>(cpu::scan_lanes);
        return (channels() + lanes - 1) / lanes;
    }

    cpu::ScanText text(std::int64_t index) const {
        return {.x = x.const_data_ptr<float>() + index * length() * channels(),
                .step = step.const_data_ptr<float>() + index * length() * channels(),
                .rate = rate.const_data_ptr<float>(),
                .b = b.const_data_ptr<float>() + index * length() * states(),
                .c = c.const_data_ptr<float>() + index * length() * states(),
                .skip = skip.const_data_ptr<float>(),
                .length = size(length()),
                .channels = size(channels()),
                .states = size(states())};
    }
};

/// Where a pass begins: its text, its first channel, and its number among those of all texts.
struct Pass {
    std::int64_t text = 0;
    std::size_t channel = 0;
    std::int64_t number = 0;
};

/// Passes [begin, end) of all texts, one after the other.
void for_passes(const Scan& scan,
                std::int64_t begin,
                std::int64_t end,
                const std::function<void(const Pass& pass, float* scratch)>& work) {
    std::vector<float> scratch(cpu::scan_scratch(size(scan.states())));
    for (std::int64_t i = begin; i < end; ++i) {
        work({.text = i / scan.passes(),
              .channel = size(i % scan.passes()) * cpu::scan_lanes,
              .number = i},
             scratch.data());
    }
}

/// Moves `state` on. `checkpoints` may be undefined.
at::Tensor scan_in_kernel(const Scan& scan, at::Tensor& state, at::Tensor& checkpoints) {
    at::Tensor y = at::empty_like(scan.x);
    float* outputs = y.mutable_data_ptr<float>();
    float* states = state.mutable_data_ptr<float>();
    float* kept = checkpoints.defined() ? checkpoints.mutable_data_ptr<float>() : nullptr;
    const std::size_t apart = cpu::scan_checkpoints(size(scan.length()), size(scan.states()));
    at::parallel_for(0, scan.texts() * scan.passes(), 1, [&](std::int64_t begin, std::int64_t end) {
        for_passes(scan, begin, end, [&](const Pass& pass, float* scratch) {
            cpu::scan_forward(scan.text(pass.text),
                              pass.channel,
                              states + pass.text * scan.channels() * scan.states(),
                              outputs + pass.text * scan.length() * scan.channels(),
                              kept == nullptr ? nullptr : kept + size(pass.number) * apart,
                              scratch);
        });
    });
    return y;
}

/// One node of the graph; gradients have no graph of their own.
struct SelectiveScanFunction : Function<SelectiveScanFunction> {
    static variable_list forward(AutogradContext* context,
                                 const at::Tensor& x,
                                 const at::Tensor& step,
                                 const at::Tensor& rate,
                                 const at::Tensor& b,
                                 const at::Tensor& c,
                                 const at::Tensor& skip,
                                 const at::Tensor& first) {
        const Scan scan{.x = x, .step = step, .rate = rate, .b = b, .c = c, .skip = skip};
        at::Tensor state = first.clone(at::MemoryFormat::Contiguous);
        at::Tensor checkpoints = at::empty({scan.texts() * scan.passes(),
                                            static_cast<std::int64_t>(cpu::scan_checkpoints(
                                                size(scan.length()), size(scan.states())))},
                                           x.options());
        const at::Tensor y = scan_in_kernel(scan, state, checkpoints);
        context->save_for_backward({x, step, rate, b, c, skip, checkpoints});
        return {y, state};
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const Scan scan{.x = saved[0],
                        .step = saved[1],
                        .rate = saved[2],
                        .b = saved[3],
                        .c = saved[4],
                        .skip = saved[5]};
        const at::Tensor d_y = gradients[0].contiguous();
        const at::Tensor d_last = gradients[1].contiguous();
        at::Tensor d_x = at::empty_like(scan.x);
        at::Tensor d_step = at::empty_like(scan.x);
        at::Tensor d_first = at::empty_like(d_last);
        // Each part sums for itself; the order of the parts is that of the channels.
        const std::int64_t all = scan.texts() * scan.passes();
        const std::int64_t parts =
            std::clamp<std::int64_t>(all, 1, static_cast<std::int64_t>(at::get_num_threads()));
        const auto sums = [&](const at::Tensor& x) {
            std::vector<std::int64_t> sizes = x.sizes().vec();
            sizes.insert(sizes.begin(), parts);
            return at::zeros(sizes, x.options());
        };
        at::Tensor d_rate = sums(scan.rate);
        at::Tensor d_b = sums(scan.b);
        at::Tensor d_c = sums(scan.c);
        at::Tensor d_skip = sums(scan.skip);
        const std::size_t apart = cpu::scan_checkpoints(size(scan.length()), size(scan.states()));
        const auto work = [&](std::int64_t part, const Pass& pass, float* scratch) {
            const std::int64_t inputs = pass.text * scan.length() * scan.channels();
            const std::int64_t states = pass.text * scan.channels() * scan.states();
            const std::int64_t shared =
                (part * scan.texts() + pass.text) * scan.length() * scan.states();
            cpu::scan_backward(
                scan.text(pass.text),
                pass.channel,
                saved[6].const_data_ptr<float>() + size(pass.number) * apart,
                {.d_y = d_y.const_data_ptr<float>() + inputs,
                 .d_last = d_last.const_data_ptr<float>() + states,
                 .d_x = d_x.mutable_data_ptr<float>() + inputs,
                 .d_step = d_step.mutable_data_ptr<float>() + inputs,
                 .d_first = d_first.mutable_data_ptr<float>() + states,
                 .d_rate = d_rate.mutable_data_ptr<float>() + part * scan.rate.numel(),
                 .d_b = d_b.mutable_data_ptr<float>() + shared,
                 .d_c = d_c.mutable_data_ptr<float>() + shared,
                 .d_skip = d_skip.mutable_data_ptr<float>() + part * scan.channels()},
                scratch);
        };
        at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t part = begin; part < end; ++part) {
                for_passes(scan,
                           all * part / parts,
                           all * (part + 1) / parts,
                           [&](const Pass& pass, float* scratch) { work(part, pass, scratch); });
            }
        });
        return {d_x, d_step, d_rate.sum(0), d_b.sum(0), d_c.sum(0), d_skip.sum(0), d_first};
    }
};

SelectiveScanResult scan_as_tensors(const Scan& scan, at::Tensor state) {
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < scan.length(); first += chunk_length) {
        const std::int64_t length = std::min(chunk_length, scan.length() - first);
        const auto cut = [&](const at::Tensor& x) { return x.narrow(1, first, length); };
        const at::Tensor decay = at::exp(cut(scan.step).unsqueeze(-1) * scan.rate);
        const at::Tensor added =
            (cut(scan.step) * cut(scan.x)).unsqueeze(-1) * cut(scan.b).unsqueeze(2);
        const at::Tensor begun = added.narrow(1, 0, 1) + decay.narrow(1, 0, 1) * state.unsqueeze(1);
        const at::Tensor states =
            scan_by_doubling(decay, at::cat({begun, added.narrow(1, 1, length - 1)}, 1));
        outputs.push_back((states * cut(scan.c).unsqueeze(2)).sum(-1));
        state = states.select(1, length - 1);
    }
    return {.output = at::cat(outputs, 1).addcmul(scan.x, scan.skip), .state = state.contiguous()};
}

}  // namespace

SelectiveScanResult run_selective_scan(const SelectiveScan& input) {
    check(input);
    const Scan scan{.x = input.x.contiguous(),
                    .step = input.step.contiguous(),
                    .rate = -at::exp(input.log_rate),
                    .b = input.b.contiguous(),
                    .c = input.c.contiguous(),
                    .skip = input.skip.contiguous()};
    const at::Tensor first =
        input.state.defined()
            ? input.state
            : at::zeros({scan.texts(), scan.channels(), scan.states()}, scan.x.options());
    if (!scan.x.is_cpu() || scan.x.scalar_type() != at::kFloat) {
        return scan_as_tensors(scan, first);
    }
    const bool records =
        at::GradMode::is_enabled() &&
        std::ranges::any_of(
            std::vector{scan.x, scan.step, scan.rate, scan.b, scan.c, scan.skip, first},
            [](const at::Tensor& x) { return x.requires_grad(); });
    if (records) {
        const variable_list both = SelectiveScanFunction::apply(
            scan.x, scan.step, scan.rate, scan.b, scan.c, scan.skip, first);
        return {.output = both[0], .state = both[1]};
    }
    at::Tensor state = first.clone(at::MemoryFormat::Contiguous);
    at::Tensor no_checkpoints;
    const at::Tensor y = scan_in_kernel(scan, state, no_checkpoints);
    return {.output = y, .state = state};
}

}  // namespace anamnesis::runtime
