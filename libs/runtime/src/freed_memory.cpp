// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/freed_memory.hpp"

#include <cstddef>

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "block_pool.hpp"

namespace anamnesis::runtime {
namespace {

/// Smaller tensors lie in the heap.
constexpr std::size_t smallest_block = 1 << 18;

/// Never destroyed: tensors outlive what a program's end destroys.
BlockPool& blocks() {
    static BlockPool& pool = *new BlockPool;
    return pool;
}

void free_tensor(void* address) {
    if (!blocks().give_back(address)) {
        c10::free_cpu(address);
    }
}

class TensorAllocator final : public c10::Allocator {
public:
    c10::DataPtr allocate(std::size_t bytes) override {
        void* address = bytes < smallest_block ? nullptr : blocks().take(bytes);
        if (address == nullptr) {
            // This one says so where there is no more.
            address = c10::alloc_cpu(bytes);
        }
        return {address, address, &free_tensor, c10::Device(c10::DeviceType::CPU)};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &free_tensor; }

    void copy_data(void* to, const void* from, std::size_t bytes) const override {
        default_copy_data(to, from, bytes);
    }
};

}  // namespace

void keep_freed_memory() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 1 << 25);
    mallopt(M_TRIM_THRESHOLD, 1 << 25);
    mallopt(M_ARENA_MAX, 1);
#endif
    static TensorAllocator allocator;
    c10::SetCPUAllocator(&allocator, 1);
}

}  // namespace anamnesis::runtime
