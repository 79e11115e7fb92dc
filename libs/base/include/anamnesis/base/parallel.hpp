// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

namespace anamnesis {

/// Threads this process may use: the cores it is allowed on.
unsigned available_threads() noexcept;

/// Runs `body(i)` for every i in [0, count) on at most `threads` threads, in order of i. The first
/// exception stops the rest and is thrown in the caller.
void parallel_for(std::size_t count,
                  unsigned threads,
                  const std::function<void(std::size_t)>& body);

}  // namespace anamnesis
