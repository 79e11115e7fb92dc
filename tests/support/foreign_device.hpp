// SPDX-License-Identifier: Apache-2.0
#pragma once

// A device of LibTorch's that is not the CPU, for tests on machines without an accelerator: code
// that runs on it runs on no path of the CPU's own, moves its inputs there and its results back,
// and never reads a tensor through a pointer. Its addresses are the host's with a bit that no
// address has, so that who dereferences one is stopped by the processor. Operators go by way of the
// CPU, with the same results.
//
// ANAMNESIS_TEST_DEVICE names a real one to be tested in its place (tools/gpu_check.sh).
//
// To be included by one file of a test binary.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace anamnesis::testing {

constexpr c10::DeviceType foreign_type = c10::DeviceType::PrivateUse1;
inline const at::Device foreign_device{foreign_type, 0};

/// The device under test, as a user names it.
inline std::string device_name() {
    const char* name = std::getenv("ANAMNESIS_TEST_DEVICE");
    return name == nullptr ? "foreign:0" : name;
}

inline bool is_real_device() {
    return std::getenv("ANAMNESIS_TEST_DEVICE") != nullptr;
}

/// The device under test. Only where it is the foreign one is that registered: LibTorch has one
/// accelerator at a time.
inline const at::Device& tested_device() {
    static const at::Device device = [] {
        const at::Device named = is_real_device() ? at::Device(device_name()) : foreign_device;
        return at::Device(named.type(), std::max<at::DeviceIndex>(named.index(), 0));
    }();
    return device;
}

/// A bound on an error: the foreign device computes what the CPU computes, a real one adds in
/// another order and has functions of its own.
inline double tolerance(double on_the_foreign, double on_a_real) {
    return is_real_device() ? on_a_real : on_the_foreign;
}

namespace foreign {

constexpr std::uintptr_t mark = std::uintptr_t{1} << 55U;

// Numbers that are no addresses of the host are the point.
// NOLINTBEGIN(performance-no-int-to-ptr)
inline void* marked(void* host) {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(host) | mark);
}
inline void* unmarked(const void* foreign) {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(foreign) & ~mark);
}
// NOLINTEND(performance-no-int-to-ptr)

struct Memory final : c10::Allocator {
    static void release(void* foreign) { std::free(unmarked(foreign)); }
    c10::DataPtr allocate(std::size_t bytes) override {
        if (bytes == 0) {
            return {nullptr, foreign_device};
        }
        void* start = marked(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
        return {start, start, &release, foreign_device};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* target, const void* source, std::size_t bytes) const override {
        std::memcpy(unmarked(target), unmarked(source), bytes);
    }
};

inline Memory& memory() {
    static Memory one;
    return one;
}

inline at::Tensor on_host(const at::Tensor& tensor) {
    return tensor.is_cpu() ? tensor
                           : at::from_blob(unmarked(tensor.const_data_ptr()),
                                           tensor.sizes(),
                                           tensor.strides(),
                                           tensor.options().device(at::kCPU).requires_grad(false));
}

inline at::Tensor empty(at::IntArrayRef size,
                        std::optional<at::ScalarType> type,
                        std::optional<at::Layout> /*layout*/,
                        std::optional<at::Device> /*device*/,
                        std::optional<bool> /*is_pinned*/,
                        std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(size,
                                     &memory(),
                                     c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     c10::dtype_or_default(type),
                                     format);
}

inline at::Tensor empty_strided(at::IntArrayRef size,
                                at::IntArrayRef strides,
                                std::optional<at::ScalarType> type,
                                std::optional<at::Layout> /*layout*/,
                                std::optional<at::Device> /*device*/,
                                std::optional<bool> /*is_pinned*/) {
    return at::detail::empty_strided_generic(size,
                                             strides,
                                             &memory(),
                                             c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                             c10::dtype_or_default(type));
}

inline at::Tensor copy_from(const at::Tensor& source,
                            const at::Tensor& target,
                            bool /*non_blocking*/) {
    on_host(target).copy_(on_host(source));
    return target;
}

/// Results that their operator sizes come with a target of another size.
inline at::Tensor copy_to_result(const at::Tensor& source, const at::Tensor& target) {
    if (source.sizes() != target.sizes()) {
        const at::Tensor fresh = empty(
            source.sizes(), target.scalar_type(), std::nullopt, std::nullopt, std::nullopt, {});
        target.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
        target.unsafeGetTensorImpl()->set_sizes_contiguous(source.sizes());
    }
    return copy_from(source, target, false);
}

inline void run_on_the_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
    at::native::cpu_fallback(operation, stack);
}

/// One device, with one stream on which everything is done when it is asked for.
struct Guard final : c10::impl::DeviceGuardImplInterface {
    c10::DeviceType type() const override { return foreign_type; }
    c10::Device exchangeDevice(c10::Device /*device*/) const override { return foreign_device; }
    c10::Device getDevice() const override { return foreign_device; }
    void setDevice(c10::Device /*device*/) const override {}
    void uncheckedSetDevice(c10::Device /*device*/) const noexcept override {}
    c10::Stream getStream(c10::Device device) const override {
        return c10::Stream(c10::Stream::DEFAULT, device);
    }
    c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
    c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
    c10::DeviceIndex deviceCount() const noexcept override { return 1; }
    void record(void** /*event*/,
                const c10::Stream& /*stream*/,
                c10::DeviceIndex /*device*/,
                c10::EventFlag /*flag*/) const override {}
    void block(void* /*event*/, const c10::Stream& /*stream*/) const override {}
    bool queryEvent(void* /*event*/) const override { return true; }
    void destroyEvent(void* /*event*/, c10::DeviceIndex /*device*/) const noexcept override {}
};

struct Hooks final : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex /*device*/) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
};

inline const bool is_registered = [] {
    if (is_real_device()) {
        return false;
    }
    static Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::register_privateuse1_backend("foreign");
    return true;
}();

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
    library.impl("empty.memory_format", &empty);
    library.impl("empty_strided", &empty_strided);
    library.impl("_copy_from", &copy_from);
    library.impl("_copy_from_and_resize", &copy_to_result);
    library.impl("as_strided", &at::native::as_strided_tensorimpl);
    library.impl("view", &at::native::view);
    library.impl("_reshape_alias", &at::native::_reshape_alias);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_the_cpu>());
}

}  // namespace foreign
}  // namespace anamnesis::testing
