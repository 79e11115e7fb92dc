// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <exception>

#include "anamnesis/runtime/device.hpp"

/// The main function of a benchmark whose first argument is a checkpoint: exit code 2 without one,
/// 1 and the error's message where `measure(argc, argv)` throws.
inline int run_bench(int argc, char** argv, int (*measure)(int, char**), const char* usage) {
    anamnesis::runtime::keep_freed_memory();
    if (argc < 2) {
        std::fprintf(stderr, "%s; see the first lines of the source\n", usage);
        return 2;
    }
    try {
        return measure(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
