// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "anamnesis/runtime/device.hpp"

#include "command.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    runtime::keep_freed_memory();
    const int code = app::report_errors([&] { return app::run_command(argc, argv, {}); });
    // At an ordinary exit LibTorch signs off its thousands of operators one by one, for 0.1 s.
    std::cout.flush();
    std::fflush(nullptr);
    std::_Exit(code);
}
