// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace anamnesis::runtime {

/// Layer after layer, and a trainer's step after step, frees its tensors and takes new ones of the
/// same sizes; the C library would give the pages back to the kernel each time, and fetch zeroed
/// ones. This keeps what tensors on the CPU free in the process instead, never more than were once
/// in use at a time, in huge pages where the system has them. The heap of the C library keeps
/// blocks of up to 32 MB, in one heap for all threads: a heap of a thread's own holds none above
/// 64 MB. These are settings of the whole process, of LibTorch's allocator and of malloc, so no
/// library function calls this: a program that runs models on the CPU calls it at its start, once.
void keep_freed_memory();

}  // namespace anamnesis::runtime
