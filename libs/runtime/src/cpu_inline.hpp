// SPDX-License-Identifier: Apache-2.0
#pragma once

// Inlined into each kernel, so that it is compiled for the kernel's instructions. Who includes this
// for one processor alone says so before.
#ifndef ANAMNESIS_TARGET
#define ANAMNESIS_TARGET
#endif
#define ANAMNESIS_INLINE ANAMNESIS_TARGET __attribute__((always_inline)) static inline
