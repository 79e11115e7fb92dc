// SPDX-License-Identifier: Apache-2.0
//
// The bodies of several files of kernels, which the library keeps to itself, in place of one
// (cpu_each_width.hpp).

#undef ANAMNESIS_KERNELS
#include "cpu_key_products.cpp"
#undef ANAMNESIS_KERNELS
#include "cpu_products.cpp"
#undef ANAMNESIS_KERNELS
#include "cpu_recurrence.cpp"
#undef ANAMNESIS_KERNELS
#define ANAMNESIS_KERNELS "../tests/cpu_bodies.hpp"
