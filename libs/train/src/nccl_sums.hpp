// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace anamnesis::train {

/// Sums of tensors that lie on CUDA devices, one device a process, without the way through the
/// host: NCCL, on a stream beside the one that computes.
class NcclSums {
public:
    /// Gives every process the bytes of process 0.
    using Broadcast = std::function<void(std::span<std::byte>)>;

    /// True in builds that found NCCL's header beside a CUDA LibTorch.
    static bool is_built() noexcept;

    /// To be called by all processes together, each with a device of its own.
    /// Errors: `unsupported` in a build without NCCL; `internal` where it does not start, two
    /// processes on one device among the causes.
    NcclSums(at::Device device,
             std::size_t rank,
             std::size_t count,
             const Broadcast& from_the_first);
    NcclSums(const NcclSums&) = delete;
    NcclSums& operator=(const NcclSums&) = delete;
    ~NcclSums();

    /// Begins to sum a contiguous float32 or float64 tensor, in place, after what the current
    /// stream has been given. All processes begin the same sums in the same order.
    void begin(const at::Tensor& values);
    /// What the current stream is given from now on waits for the sums.
    void finish();

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace anamnesis::train
