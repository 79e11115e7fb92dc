// SPDX-License-Identifier: Apache-2.0
#include "reader.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/model_spec.hpp"

namespace anamnesis::bench {

runtime::Network load_on(at::Device device, const std::filesystem::path& folder) {
    const auto files = checkpoint::Checkpoint::open(folder);
    return runtime::Network::load(
        files, runtime::describe(files, checkpoint::recognise(files)), {.device = device});
}

at::Tensor prompt_on(at::Device device, std::int64_t length, std::int64_t vocabulary) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < length; ++i) {
        ids.push_back((300 + (i * 7919) % (vocabulary - 396)) % vocabulary);
    }
    return at::tensor(ids, at::kLong).unsqueeze(0).to(device);
}

at::Tensor read(const runtime::Network& network,
                runtime::NetworkState& state,
                const at::Tensor& prompt,
                std::int64_t chunk) {
    const at::NoGradGuard no_gradients;
    runtime::NetworkState* const pointer = &state;
    at::Tensor hidden;
    for (std::int64_t first = 0; first < prompt.size(1); first += chunk) {
        hidden = network.advance(prompt.narrow(1, first, std::min(chunk, prompt.size(1) - first)),
                                 std::span(&pointer, 1));
    }
    return network.logits(hidden.narrow(1, hidden.size(1) - 1, 1));
}

at::Tensor go_on(const runtime::Network& network,
                 runtime::NetworkState& state,
                 at::Tensor next,
                 std::int64_t steps) {
    const at::NoGradGuard no_gradients;
    runtime::NetworkState* const pointer = &state;
    for (std::int64_t i = 0; i < steps; ++i) {
        next =
            network.logits(network.advance(next, std::span(&pointer, 1))).argmax(-1).view({1, 1});
    }
    return next;
}

}  // namespace anamnesis::bench
