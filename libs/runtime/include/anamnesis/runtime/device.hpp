// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <concepts>
#include <string>
#include <utility>

#include <c10/util/Exception.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::runtime {

/// "cpu", or the accelerator that this LibTorch was built for: "cuda", "cuda:1", …
/// Errors: `usage` for a word that names no device, `unsupported` where it does not exist.
at::Device parse_device(const std::string& name);

/// The thread budget of LibTorch and of everything it calls.
void use_threads(unsigned threads);

/// With GCC's OpenMP, ends the threads that helped the calling one. Where another thread runs the
/// models from now on, they would count beside its own: with more threads than processors OpenMP
/// sends those that wait to sleep at once.
void release_threads();

/// Layer after layer frees its activations and takes new ones of the same size; the C library
/// would give the pages back to the kernel each time, and fetch zeroed ones. This keeps blocks of
/// up to `most` bytes in the process instead, in one heap for all threads: a heap of a thread's
/// own holds no block above 64 MiB. It is a setting of the whole process and of its allocator
/// (mallopt), so no library function calls it: a program that runs models on the CPU calls it at
/// its start. Without glibc it does nothing.
void keep_freed_memory(int most = 1 << 28);

/// The `most` of a trainer. Gradients of an embedding come and go among small blocks that stay: in
/// the heap each would leave a hole that the next does not fit, and the process would grow by one
/// at every step.
inline constexpr int kept_in_training = 1 << 25;

/// What LibTorch threw, in our words.
Error to_error(const c10::Error& error);

/// Runs `body`; no exception of LibTorch leaves.
template <std::invocable Body>
decltype(auto) convert_torch_errors(Body&& body) {
    try {
        return std::forward<Body>(body)();
    } catch (const c10::Error& error) {
        throw to_error(error);
    }
}

}  // namespace anamnesis::runtime
