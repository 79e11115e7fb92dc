// SPDX-License-Identifier: Apache-2.0
//
// The bodies of kernels for ANAMNESIS_WIDTH, which the library keeps to itself. Included once for
// each width (cpu_each_width.hpp).

#undef ANAMNESIS_CPU_VECTORS
#undef ANAMNESIS_CPU_STREAMS
#undef ANAMNESIS_CPU_SMALL_PRODUCTS

#include "cpu_key_products.cpp"
#undef ANAMNESIS_KERNELS
#include "cpu_products.cpp"
#undef ANAMNESIS_KERNELS
#include "cpu_recurrence.cpp"
#undef ANAMNESIS_KERNELS
