// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/device.hpp"

#include "command.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    runtime::keep_freed_memory();
    return app::report_errors([&] { return app::run_command(argc, argv, {}); });
}
