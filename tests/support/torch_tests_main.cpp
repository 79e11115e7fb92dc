// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

int main(int argc, char** argv) {
    testing::InitGoogleMock(&argc, argv);
    const int code = RUN_ALL_TESTS();
    // Each test is a process, and at an ordinary exit LibTorch takes 0.1 s to sign off its
    // operators.
    std::cout.flush();
    std::fflush(nullptr);
    std::_Exit(code);
}
