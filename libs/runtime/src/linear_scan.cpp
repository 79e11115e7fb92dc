// SPDX-License-Identifier: Apache-2.0
#include "linear_scan.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_linear_scan.hpp"

namespace anamnesis::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// Tokens that are joined in a tree where LibTorch's operators do the work.
constexpr std::int64_t chunk_length = 64;
/// Channels that one thread takes through a text: several registers of them.
constexpr std::int64_t block_channels = 64;

std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
}

/// Calls `work` for each block of channels of each text, with the places of the text's first token
/// and first state.
void for_blocks(
    const at::Tensor& decay,
    const std::function<
        void(const cpu::LinearScanText& text, std::int64_t tokens, std::int64_t states)>& work) {
    const std::int64_t length = decay.size(1);
    const std::int64_t channels = decay.size(2);
    const std::int64_t blocks = (channels + block_channels - 1) / block_channels;
    at::parallel_for(0, decay.size(0) * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t text = i / blocks;
            const std::int64_t first = i % blocks * block_channels;
            const std::int64_t tokens = text * length * channels;
            work({.decay = decay.const_data_ptr<float>() + tokens,
                  .length = size(length),
                  .channels = size(channels),
                  .first = size(first),
                  .count = size(std::min(block_channels, channels - first))},
                 tokens,
                 text * channels);
        }
    });
}

/// Moves `state` on.
at::Tensor scan_in_kernel(const at::Tensor& decay, const at::Tensor& added, at::Tensor& state) {
    at::Tensor output = at::empty_like(added);
    const float* from = added.const_data_ptr<float>();
    auto* states = state.mutable_data_ptr<float>();
    auto* to = output.mutable_data_ptr<float>();
    for_blocks(decay,
               [=](const cpu::LinearScanText& text, std::int64_t tokens, std::int64_t first) {
                   cpu::linear_scan_forward(text, from + tokens, states + first, to + tokens);
               });
    return output;
}

/// One node of the graph; gradients have no graph of their own.
struct LinearScanFunction : Function<LinearScanFunction> {
    static variable_list forward(AutogradContext* context,
                                 const at::Tensor& decay,
                                 const at::Tensor& added,
                                 const at::Tensor& first) {
        at::Tensor state = first.clone(at::MemoryFormat::Contiguous);
        const at::Tensor output = scan_in_kernel(decay, added, state);
        context->save_for_backward({decay, first, output});
        return {output, state};
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& decay = saved[0];
        const at::Tensor first = saved[1].contiguous();
        const at::Tensor d_output = gradients[0].contiguous();
        at::Tensor d_state = gradients[1].clone(at::MemoryFormat::Contiguous);
        at::Tensor d_decay = at::empty_like(decay);
        at::Tensor d_added = at::empty_like(decay);
        const float* states = first.const_data_ptr<float>();
        const float* outputs = saved[2].const_data_ptr<float>();
        const float* upstream = d_output.const_data_ptr<float>();
        auto* to_state = d_state.mutable_data_ptr<float>();
        auto* to_decay = d_decay.mutable_data_ptr<float>();
        auto* to_added = d_added.mutable_data_ptr<float>();
        for_blocks(decay,
                   [=](const cpu::LinearScanText& text, std::int64_t tokens, std::int64_t place) {
                       cpu::linear_scan_backward(text,
                                                 states + place,
                                                 outputs + tokens,
                                                 upstream + tokens,
                                                 to_state + place,
                                                 to_decay + tokens,
                                                 to_added + tokens);
                   });
        return {d_decay, d_added, d_state};
    }
};

LinearScanResult scan_as_tensors(const at::Tensor& decay,
                                 const at::Tensor& added,
                                 at::Tensor state) {
    std::vector<at::Tensor> outputs;
    const std::int64_t length = decay.size(1);
    for (std::int64_t first = 0; first < length; first += chunk_length) {
        const std::int64_t count = std::min(chunk_length, length - first);
        const at::Tensor decays = decay.narrow(1, first, count);
        const at::Tensor begun =
            added.narrow(1, first, 1) + decays.narrow(1, 0, 1) * state.unsqueeze(1);
        outputs.push_back(
            scan_by_doubling(decays, at::cat({begun, added.narrow(1, first + 1, count - 1)}, 1)));
        state = outputs.back().select(1, count - 1);
    }
    return {.output = at::cat(outputs, 1), .state = state.contiguous()};
}

}  // namespace

at::Tensor scan_by_doubling(at::Tensor decay, at::Tensor added) {
    const std::int64_t length = added.size(1);
    for (std::int64_t apart = 1; apart < length; apart *= 2) {
        const auto later = [&](const at::Tensor& x) { return x.narrow(1, apart, length - apart); };
        const auto earlier = [&](const at::Tensor& x) { return x.narrow(1, 0, length - apart); };
        const auto untouched = [&](const at::Tensor& x) { return x.narrow(1, 0, apart); };
        added = at::cat({untouched(added), later(added).addcmul(later(decay), earlier(added))}, 1);
        decay = at::cat({untouched(decay), later(decay) * earlier(decay)}, 1);
    }
    return added;
}

LinearScanResult run_linear_scan(const LinearScan& input) {
    check_shape(input.decay, {-1, -1, -1}, "decays of a linear scan");
    check_shape(input.added, input.decay.sizes(), "what a linear scan adds");
    const std::int64_t texts = input.decay.size(0);
    const std::int64_t channels = input.decay.size(2);
    if (input.state.defined()) {
        check_shape(input.state, {texts, channels}, "state of a linear scan");
    }
    const at::Tensor decay = input.decay.contiguous();
    const at::Tensor added = input.added.contiguous();
    const at::Tensor first =
        input.state.defined() ? input.state : at::zeros({texts, channels}, added.options());
    if (!added.is_cpu() || added.scalar_type() != at::kFloat) {
        return scan_as_tensors(decay, added, first);
    }
    if (at::GradMode::is_enabled() &&
        (decay.requires_grad() || added.requires_grad() || first.requires_grad())) {
        const variable_list both = LinearScanFunction::apply(decay, added, first);
        return {.output = both[0], .state = both[1]};
    }
    at::Tensor state = first.clone(at::MemoryFormat::Contiguous);
    const at::Tensor output = scan_in_kernel(decay, added, state);
    return {.output = output, .state = state};
}

}  // namespace anamnesis::runtime
