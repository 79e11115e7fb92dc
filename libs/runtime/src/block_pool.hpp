// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

namespace anamnesis::runtime {

/// Blocks of memory that stay mapped when they are given back, for the next that asks for about as
/// many bytes. All of them together, used and kept, never take more than were once in use at a
/// time: where a new one would, those that have been idle longest go back to the system. So a loop
/// whose steps are alike soon maps nothing, and none grows. For several threads at once.
class BlockPool {
public:
    BlockPool() = default;
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;
    ~BlockPool();

    /// A block of at least `bytes` > 0, at most an eighth more or `granule`, whichever is more;
    /// starts at a page, from 2 MiB on at a huge one; holds anything. Null where the system has no
    /// more.
    void* take(std::size_t bytes);

    /// False, and nothing is done, for an address that `take` did not give.
    bool give_back(void* address);

    struct Sizes {
        std::size_t in_use = 0;
        std::size_t kept = 0;
        /// The most that was in use at a time.
        std::size_t most = 0;
    };
    /// In bytes, as blocks were rounded up.
    Sizes sizes() const;

    static constexpr std::size_t granule = 1 << 16;

private:
    struct Idle {
        void* address;
        std::size_t size;
    };
    using IdleList = std::list<Idle>;

    IdleList::iterator find_idle(std::size_t size);
    void remove_idle(IdleList::iterator block);
    /// The longest idle first, until `size` bytes more make no more than `most`.
    void release_idle(std::size_t size, std::size_t most);

    mutable std::mutex mutex_;
    std::unordered_map<void*, std::size_t> used_;
    /// Idle longest first.
    IdleList idle_;
    std::multimap<std::size_t, IdleList::iterator> idle_by_size_;
    Sizes sizes_;
};

}  // namespace anamnesis::runtime
