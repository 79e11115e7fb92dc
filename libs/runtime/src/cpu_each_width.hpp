// SPDX-License-Identifier: Apache-2.0
//
// The same loops for vectors of several widths. A file of kernels names itself as ANAMNESIS_KERNELS
// and includes this header, which includes the file once for each width, with ANAMNESIS_WIDTH
// (values of a vector) and ANAMNESIS_LANES (the namespace of that width) defined. The bodies of its
// kernels are written under #if defined(ANAMNESIS_WIDTH); what follows under #else gives each
// kernel its name (ANAMNESIS_KERNEL).
//
// A vector that is wider than the registers of a processor is kept in memory by GCC, which costs
// several times what the arithmetic does: each instruction set has a width of its own.

#if !defined(ANAMNESIS_WIDTH)

#include "cpu_kernels.hpp"

#define ANAMNESIS_WIDTH 16
#define ANAMNESIS_LANES lanes_16
#include ANAMNESIS_KERNELS
#undef ANAMNESIS_WIDTH
#undef ANAMNESIS_LANES
#undef ANAMNESIS_CPU_VECTORS
#undef ANAMNESIS_CPU_STREAMS
#undef ANAMNESIS_CPU_SMALL_PRODUCTS

#define ANAMNESIS_WIDTH 8
#define ANAMNESIS_LANES lanes_8
#include ANAMNESIS_KERNELS
#undef ANAMNESIS_WIDTH
#undef ANAMNESIS_LANES
#undef ANAMNESIS_CPU_VECTORS
#undef ANAMNESIS_CPU_STREAMS
#undef ANAMNESIS_CPU_SMALL_PRODUCTS

#define ANAMNESIS_WIDTH 4
#define ANAMNESIS_LANES lanes_4
#include ANAMNESIS_KERNELS
#undef ANAMNESIS_WIDTH
#undef ANAMNESIS_LANES

// ANAMNESIS_KERNEL(result, name, parameters, arguments): the function `name`, which calls
// `name`_body(arguments) in the form that the processor is fastest at. The bodies are inlined here,
// so that they are compiled for the instructions of their width.
#if defined(__x86_64__)
#define ANAMNESIS_KERNEL(result, name, parameters, arguments)                         \
    __attribute__((target("arch=x86-64-v4"))) static result name##_of_16 parameters { \
        return lanes_16::name##_body arguments;                                       \
    }                                                                                 \
    __attribute__((target("arch=x86-64-v3"))) static result name##_of_8 parameters {  \
        return lanes_8::name##_body arguments;                                        \
    }                                                                                 \
    static result name##_of_4 parameters {                                            \
        return lanes_4::name##_body arguments;                                        \
    }                                                                                 \
    result name parameters {                                                          \
        if (__builtin_cpu_supports("x86-64-v4")) {                                    \
            return name##_of_16 arguments;                                            \
        }                                                                             \
        return __builtin_cpu_supports("x86-64-v3") ? name##_of_8 arguments            \
                                                   : name##_of_4 arguments;           \
    }
#else
#define ANAMNESIS_KERNEL(result, name, parameters, arguments) \
    result name parameters {                                  \
        return lanes_4::name##_body arguments;                \
    }
#endif

#endif
