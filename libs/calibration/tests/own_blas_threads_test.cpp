// SPDX-License-Identifier: Apache-2.0
//
// Here because LibTorch's BLAS is linked here.
#include "anamnesis/runtime/torch.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "anamnesis/linalg/product.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): MKL's; null without it.
extern "C" __attribute__((weak)) int MKL_Set_Num_Threads_Local(int threads);

namespace anamnesis::calibration {
namespace {

/// What MKL has been told for this thread; 0: nothing.
int find_mkl_threads() {
    if (MKL_Set_Num_Threads_Local == nullptr) {
        return 0;
    }
    const int told = MKL_Set_Num_Threads_Local(0);
    MKL_Set_Num_Threads_Local(told);
    return told;
}

TEST(OwnBlasThreads, HoldForThisThreadAndAreGivenBack) {
    const int before = at::get_num_threads();
    at::set_num_threads(3);  // tells MKL too
    const int of_mkl = find_mkl_threads();
    {
        const linalg::OwnBlasThreads threads(1);
        EXPECT_EQ(at::get_num_threads(), 1);
        EXPECT_EQ(find_mkl_threads(), MKL_Set_Num_Threads_Local == nullptr ? 0 : 1);
    }
    EXPECT_EQ(at::get_num_threads(), 3);
    EXPECT_EQ(find_mkl_threads(), of_mkl);
    at::set_num_threads(before);
}

}  // namespace
}  // namespace anamnesis::calibration
