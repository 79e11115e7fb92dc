// SPDX-License-Identifier: Apache-2.0
//
// How `verify` reads 8-bit floats with their scales.
#include "scaled_rows.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "temporary_folder.hpp"
#include "value_checkpoint.hpp"

namespace anamnesis::restore {
namespace {

using anamnesis::testing::TemporaryFolder;
using anamnesis::testing::ValueTensor;

class RowsWithScales : public ::testing::Test {
protected:
    checkpoint::Checkpoint open(Shape shape, Shape scale_shape, std::vector<double> scales) const {
        const std::size_t count = find_element_count(shape).value();
        const ValueTensor weight{.name = "a.weight",
                                 .shape = std::move(shape),
                                 .values = std::vector<double>(count, 1.0),
                                 .dtype = DType::f8_e4m3};
        const ValueTensor scale{.name = "a.weight_scale",
                                .shape = std::move(scale_shape),
                                .values = std::move(scales),
                                .dtype = DType::f32};
        testing::write_values(folder_.path() / "model", Json::object(), {weight, scale});
        return checkpoint::Checkpoint::open(folder_.path() / "model");
    }

    TemporaryFolder folder_;
};

TEST_F(RowsWithScales, OfAStackHaveBlocksOfAPowerOfTwoWhoseLastIsCut) {
    // 192 rows under two scales: 128 and 64, not 96 twice.
    const auto checkpoint = open({2, 192, 4}, {2, 2, 1}, {1.0, 2.0, 3.0, 4.0});
    const ScaledRows rows(checkpoint, checkpoint.at("a.weight"));
    for (const std::uint64_t matrix : {0U, 1U}) {
        const std::vector<double> scales = rows.scales_of_row(matrix);
        ASSERT_EQ(scales.size(), 192U * 4U);
        const double first = matrix == 0 ? 1.0 : 3.0;
        EXPECT_EQ(scales[127 * 4 + 3], first);
        EXPECT_EQ(scales[128 * 4], first + 1.0);
        EXPECT_EQ(scales.back(), first + 1.0);
    }
}

TEST_F(RowsWithScales, TellScalesThatAreFarAboveWhatTheirBlocksNeed) {
    const double needed = 0.05 / 448.0;
    const auto checkpoint = open({5, 8}, {5, 1}, {needed, 1.9 * needed, 2.1 * needed, 1e30, 1e30});
    const ScaledRows rows(checkpoint, checkpoint.at("a.weight"));
    BlockSizes sizes;
    const std::vector<double> wanted{0.05, 0.0, -0.01, 0.0, 0.0, 0.0, 0.0, 0.0};
    for (const std::uint64_t row : {0U, 1U, 2U, 3U}) {
        sizes.add(rows, row, wanted);
    }
    // Zeros are zeros under any scale.
    sizes.add(rows, 4, std::vector<double>(8, 0.0));
    EXPECT_EQ(sizes.count_oversized(rows, DType::f8_e4m3), 2U);
}

}  // namespace
}  // namespace anamnesis::restore
