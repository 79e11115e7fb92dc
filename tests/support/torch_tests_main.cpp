// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

/// LibTorch draws other random numbers in every process. Here each test begins with the same ones,
/// or with those of ANAMNESIS_TEST_SEED.
class SameNumbers : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo& /*test*/) override {
        const char* stated = std::getenv("ANAMNESIS_TEST_SEED");
        at::Generator generator = at::detail::getDefaultCPUGenerator();
        generator.set_current_seed(stated == nullptr ? 1 : std::stoull(stated));
    }
};

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleMock(&argc, argv);
    testing::UnitTest::GetInstance()->listeners().Append(new SameNumbers());
    const int code = RUN_ALL_TESTS();
    // Each test is a process, and at an ordinary exit LibTorch takes 0.1 s to sign off its
    // operators.
    std::cout.flush();
    std::fflush(nullptr);
    std::_Exit(code);
}
