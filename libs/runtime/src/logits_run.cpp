// SPDX-License-Identifier: Apache-2.0
#include "logits_run.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::runtime {
namespace {

std::vector<float> copy_values(const at::Tensor& tensor) {
    const at::Tensor host = tensor.to(at::kCPU, at::kFloat).contiguous();
    const auto* first = host.const_data_ptr<float>();
    return {first, first + host.numel()};
}

NamedArray make_array(std::string name, const at::Tensor& tensor) {
    return {.name = std::move(name),
            .shape = Shape(tensor.sizes().begin(), tensor.sizes().end()),
            .values = copy_values(tensor)};
}

/// The final norm's output, piece by piece.
std::vector<at::Tensor> read(const Network& network,
                             const at::Tensor& ids,
                             std::size_t piece,
                             const StreamObserver& observer) {
    if (piece == 0) {
        return {network.forward(ids, observer)};
    }
    std::vector<NetworkState> states(static_cast<std::size_t>(ids.size(0)), network.make_state());
    std::vector<NetworkState*> pointers;
    for (NetworkState& state : states) {
        pointers.push_back(&state);
    }
    std::vector<at::Tensor> hidden;
    const auto most = static_cast<std::int64_t>(piece);
    for (std::int64_t first = 0; first < ids.size(1); first += most) {
        const std::int64_t count = std::min(most, ids.size(1) - first);
        hidden.push_back(network.advance(ids.narrow(1, first, count), pointers, observer));
    }
    return hidden;
}

}  // namespace

std::vector<NamedArray> run_logits(const Network& network, const LogitsRequest& request) {
    const at::Tensor ids =
        at::tensor(std::vector<std::int64_t>(request.ids.begin(), request.ids.end()), at::kLong)
            .view({static_cast<std::int64_t>(request.batch), -1});
    std::vector<std::vector<at::Tensor>> streams;
    StreamObserver observer;
    if (request.wants_hidden_states) {
        streams.resize(network.spec().layers.size() + 1);
        observer = [&](std::size_t i, const at::Tensor& x) { streams[i].push_back(x.clone()); };
    }
    const std::vector<at::Tensor> hidden = read(network, ids, request.chunk, observer);
    std::vector<NamedArray> arrays;
    arrays.push_back(make_array("logits", network.logits(at::cat(hidden, 1))));
    for (std::size_t i = 0; i < streams.size(); ++i) {
        arrays.push_back(make_array(format("hidden_states.{}", i), at::cat(streams[i], 1)));
    }
    return arrays;
}

}  // namespace anamnesis::runtime
