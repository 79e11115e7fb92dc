// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/second_moment.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace anamnesis::runtime {
namespace {

TEST(SecondMoment, AddsTheLowerTriangleWhateverTheSizes) {
    if (!has_bf16_products()) {
        GTEST_SKIP() << "the processor does not multiply bfloat16";
    }
    for (const std::int64_t columns : {1, 95, 96, 97, 200, 400}) {
        for (const std::int64_t count : {1, 2, 7, 128}) {
            const at::Tensor rows = at::randn({count, columns}).to(at::kBFloat16);
            const at::Tensor exact = rows.to(at::kDouble);
            const at::Tensor before = at::randn({columns, columns}).to(at::kDouble);
            const at::Tensor sum = before.clone();
            add_second_moment(sum, rows);
            const at::Tensor difference = sum - before - at::matmul(exact.t(), exact);
            EXPECT_LT(difference.tril().abs().max().item<double>(), 2e-4)
                << count << " rows of " << columns;
        }
    }
}

}  // namespace
}  // namespace anamnesis::runtime
