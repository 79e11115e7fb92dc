// SPDX-License-Identifier: Apache-2.0
#include "block_pool.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace anamnesis::runtime {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21;
constexpr std::uintptr_t page = 4096;

std::size_t rounded_up(std::size_t size, std::size_t multiple) {
    return (size + multiple - 1) / multiple * multiple;
}

void* map_pages(std::size_t size) {
    void* const address =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address == MAP_FAILED ? nullptr : address;
}

/// Its whole huge pages are asked for as such: one fault for 512 of the small ones.
void* map_huge_pages(std::size_t size) {
    auto* const mapped = static_cast<std::byte*>(map_pages(size + huge_page));
    if (mapped == nullptr) {
        return nullptr;
    }
    const auto start = reinterpret_cast<std::uintptr_t>(mapped);
    const std::size_t before = rounded_up(start, huge_page) - start;
    if (before > 0) {
        ::munmap(mapped, before);
    }
    ::munmap(mapped + before + size, huge_page - before);
#if defined(MADV_HUGEPAGE)
    ::madvise(mapped + before, size / huge_page * huge_page, MADV_HUGEPAGE);
#endif
    return mapped + before;
}

void* map_block(std::size_t size) {
    return size < huge_page ? map_pages(size) : map_huge_pages(size);
}

}  // namespace

BlockPool::~BlockPool() {
    for (const Idle& block : idle_) {
        ::munmap(block.address, block.size);
    }
}

BlockPool::IdleList::iterator BlockPool::find_idle(std::size_t size) {
    const auto found = idle_by_size_.lower_bound(size);
    const bool fits = found != idle_by_size_.end() && found->first <= size + size / 8;
    return fits ? found->second : idle_.end();
}

void BlockPool::remove_idle(IdleList::iterator block) {
    const auto [first, last] = idle_by_size_.equal_range(block->size);
    idle_by_size_.erase(
        std::find_if(first, last, [&](const auto& entry) { return entry.second == block; }));
    sizes_.kept -= block->size;
    idle_.erase(block);
}

void BlockPool::release_idle(std::size_t size, std::size_t most) {
    while (!idle_.empty() && sizes_.in_use + sizes_.kept + size > most) {
        const auto block = idle_.begin();
        ::munmap(block->address, block->size);
        remove_idle(block);
    }
}

void* BlockPool::take(std::size_t bytes) {
    if (bytes > SIZE_MAX / 2) {
        return nullptr;
    }
    std::size_t size = rounded_up(bytes, granule);
    const std::scoped_lock lock(mutex_);
    void* address = nullptr;
    if (const auto idle = find_idle(size); idle != idle_.end()) {
        address = idle->address;
        size = idle->size;
        remove_idle(idle);
    } else {
        release_idle(size, sizes_.most);
        address = map_block(size);
        if (address == nullptr) {
            release_idle(size, 0);
            address = map_block(size);
        }
        if (address == nullptr) {
            return nullptr;
        }
    }
    used_.emplace(address, size);
    sizes_.in_use += size;
    sizes_.most = std::max(sizes_.most, sizes_.in_use);
    return address;
}

bool BlockPool::give_back(void* address) {
    if (reinterpret_cast<std::uintptr_t>(address) % page != 0) {
        return false;
    }
    const std::scoped_lock lock(mutex_);
    const auto used = used_.find(address);
    if (used == used_.end()) {
        return false;
    }
    const std::size_t size = used->second;
    used_.erase(used);
    sizes_.in_use -= size;
    sizes_.kept += size;
    idle_.push_back({address, size});
    idle_by_size_.emplace(size, std::prev(idle_.end()));
    return true;
}

BlockPool::Sizes BlockPool::sizes() const {
    const std::scoped_lock lock(mutex_);
    return sizes_;
}

}  // namespace anamnesis::runtime
