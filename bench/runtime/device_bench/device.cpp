// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

namespace anamnesis::bench {
namespace {

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

}  // namespace

void wait_for(at::Device device) {
    if (!device.is_cpu()) {
        at::accelerator::synchronizeDevice(device.index());
    }
}

double peak_bytes(at::Device device) {
    if (device.is_cpu()) {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return static_cast<double>(usage.ru_maxrss) * 1024.0;
    }
    const auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return static_cast<double>(
        at::accelerator::getDeviceStats(device.index()).allocated_bytes[all].peak);
}

void forget_peak(at::Device device) {
    if (!device.is_cpu()) {
        at::accelerator::resetPeakStats(device.index());
    }
}

Rates measure_rates(at::Device device) {
    const std::int64_t n = device.is_cpu() ? 1024 : 8192;
    const std::int64_t values = device.is_cpu() ? std::int64_t{1} << 25 : std::int64_t{1} << 31;
    // Processors without products of bfloat16 multiply it a thousand times slower than float32.
    const auto options =
        at::TensorOptions().device(device).dtype(device.is_cpu() ? at::kFloat : at::kBFloat16);
    const at::Tensor a = at::randn({n, n}, options);
    const at::Tensor b = at::randn({n, n}, options);
    at::Tensor c = at::empty({n, n}, options);
    const at::Tensor source = at::empty({values}, options).fill_(1.5);
    at::Tensor target = at::empty({values}, options);
    constexpr int in_a_row = 10;
    std::vector<double> products;
    std::vector<double> copies;
    // The first round warms up.
    for (int round = 0; round < 6; ++round) {
        const double product = seconds_on(device, [&] {
            for (int i = 0; i < in_a_row; ++i) {
                at::mm_out(c, a, b);
            }
        });
        const double copy = seconds_on(device, [&] {
            for (int i = 0; i < in_a_row; ++i) {
                target.copy_(source);
            }
        });
        if (round > 0) {
            products.push_back(product / in_a_row);
            copies.push_back(copy / in_a_row);
        }
    }
    const auto side = static_cast<double>(n);
    return {.operations = 2.0 * side * side * side / median(products),
            .bytes = 2.0 * static_cast<double>(source.nbytes()) / median(copies)};
}

void emit(const Json& line) {
    std::puts(line.dump().c_str());
    std::fflush(stdout);
}

}  // namespace anamnesis::bench
