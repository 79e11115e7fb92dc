// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include "hand_over.hpp"

int main(int argc, char** argv) {
    using namespace anamnesis;
    return app::report_errors([&] { return app::run_command(argc, argv, app::hand_over); });
}
