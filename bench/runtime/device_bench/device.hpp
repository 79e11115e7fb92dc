// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <chrono>

#include "anamnesis/base/json.hpp"

namespace anamnesis::bench {

/// Waits until the device has done what it was given; nothing on the CPU.
void wait_for(at::Device device);

/// Seconds of `body`, with what it gave the device.
double seconds_on(at::Device device, const auto& body) {
    wait_for(device);
    const auto start = std::chrono::steady_clock::now();
    body();
    wait_for(device);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Bytes held at most since `forget_peak`: on a device by LibTorch's allocator, on the CPU by the
/// process since it began.
double peak_bytes(at::Device device);
void forget_peak(at::Device device);

/// What the device reaches: a bfloat16 product of 8192 x 8192 matrices and a copy of 4 GiB within
/// its memory, bytes read and written counted; on the CPU 1024 and 64 MiB.
struct Rates {
    double operations = 0.0;  ///< a second
    double bytes = 0.0;       ///< a second
};
Rates measure_rates(at::Device device);

/// One line on standard output.
void emit(const Json& line);

}  // namespace anamnesis::bench
