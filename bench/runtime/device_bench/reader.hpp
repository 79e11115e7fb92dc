// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <filesystem>

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::bench {

/// A checkpoint on a device, in the types that it is stored in.
runtime::Network load_on(at::Device device, const std::filesystem::path& folder);

/// Token ids of a made-up prompt: [1, length], on the device.
at::Tensor prompt_on(at::Device device, std::int64_t length, std::int64_t vocabulary);

/// Reads a prompt in pieces of `chunk`. Shapes: [1, T] -> logits of the last token [1, 1, V].
at::Tensor read(const runtime::Network& network,
                runtime::NetworkState& state,
                const at::Tensor& prompt,
                std::int64_t chunk);

/// Goes on greedily for `steps` tokens without waiting for any. Shapes: next [1, 1] -> the same.
at::Tensor go_on(const runtime::Network& network,
                 runtime::NetworkState& state,
                 at::Tensor next,
                 std::int64_t steps);

}  // namespace anamnesis::bench
