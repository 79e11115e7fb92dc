// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/device.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::runtime {
namespace {

/// What LibTorch reads from a name of its own; absent for a word that is none.
std::optional<at::Device> parsed(const std::string& name) {
    try {
        return at::Device(name);
    } catch (const c10::Error&) {
        return std::nullopt;
    }
}

}  // namespace

at::Device parse_device(const std::string& name) {
    const std::optional<at::Device> device = parsed(name);
    if (!device || !(device->is_cpu() || at::isAccelerator(device->type()))) {
        throw Error(ErrorKind::usage,
                    format("device {} is not known, expected cpu, cuda, cuda:N or what LibTorch "
                           "calls another accelerator",
                           in_quotes(name)));
    }
    if (device->is_cpu()) {
        return at::kCPU;
    }
    const bool is_its_accelerator = at::getAccelerator() == device->type();
    const int count = is_its_accelerator ? at::accelerator::deviceCount() : 0;
    const at::Device chosen(device->type(), std::max<at::DeviceIndex>(device->index(), 0));
    if (chosen.index() >= count) {
        throw Error(
            ErrorKind::unsupported,
            count > 0
                ? format("device {} does not exist: this machine has {}", in_quotes(name), count)
                : format("device {} does not exist: this machine has none, or this "
                         "LibTorch is a build without {}",
                         in_quotes(name),
                         c10::DeviceTypeName(device->type())));
    }
    return chosen;
}

void use_threads(unsigned threads) {
    at::set_num_threads(static_cast<int>(threads == 0 ? available_threads() : threads));
}

void release_threads() {
#if defined(_OPENMP)
    omp_pause_resource_all(omp_pause_soft);
#endif
}

void keep_freed_memory([[maybe_unused]] int most) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, most);
    mallopt(M_TRIM_THRESHOLD, most);
    mallopt(M_ARENA_MAX, 1);
#endif
}

Error to_error(const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    const bool is_memory = text.find("not enough memory") != std::string::npos ||
                           text.find("out of memory") != std::string::npos;
    return {is_memory ? ErrorKind::exhausted : ErrorKind::internal, "LibTorch: " + text};
}

}  // namespace anamnesis::runtime
