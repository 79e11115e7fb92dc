// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <sched.h>

namespace anamnesis {

unsigned available_threads() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        return std::max(1U, static_cast<unsigned>(CPU_COUNT(&set)));
    }
    return std::max(1U, std::thread::hardware_concurrency());
}

void parallel_for(std::size_t count,
                  unsigned threads,
                  const std::function<void(std::size_t)>& body) {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::exception_ptr first_error;
    const auto work = [&] {
        for (std::size_t i = next++; i < count; i = next++) {
            try {
                body(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!first_error) {
                    first_error = std::current_exception();
                }
                next = count;
            }
        }
    };
    {
        const std::size_t helpers = std::min<std::size_t>(threads, count);
        std::vector<std::jthread> pool;
        try {
            for (std::size_t i = 1; i < helpers; ++i) {
                pool.emplace_back(work);
            }
        } catch (const std::system_error&) {
            // A machine that grants no more threads gets the work done by those that there are.
        }
        work();
    }
    if (first_error) {
        std::rethrow_exception(first_error);
    }
}

}  // namespace anamnesis
