// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/float8.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {
namespace {

constexpr DType forms[] = {DType::f8_e4m3, DType::f8_e5m2, DType::f8_e4m3fnuz, DType::f8_e5m2fnuz};

TEST(Float8, HasTheValuesOfItsSpecification) {
    // Table 1 of the OCP specification, and the ranges of the FNUZ forms.
    EXPECT_EQ(largest_f8(DType::f8_e4m3), 448.0);
    EXPECT_EQ(largest_f8(DType::f8_e5m2), 57344.0);
    EXPECT_EQ(largest_f8(DType::f8_e4m3fnuz), 240.0);
    EXPECT_EQ(largest_f8(DType::f8_e5m2fnuz), 57344.0);
    EXPECT_EQ(f64_from_f8(DType::f8_e4m3, 0x38), 1.0);
    EXPECT_EQ(f64_from_f8(DType::f8_e4m3, 0x01), 0x1p-9);
    EXPECT_EQ(f64_from_f8(DType::f8_e5m2, 0xBC), -1.0);
    EXPECT_EQ(f64_from_f8(DType::f8_e5m2, 0x01), 0x1p-16);
    EXPECT_TRUE(std::isinf(f64_from_f8(DType::f8_e5m2, 0x7C)));
    EXPECT_TRUE(std::isnan(f64_from_f8(DType::f8_e4m3, 0xFF)));
    EXPECT_TRUE(std::isnan(f64_from_f8(DType::f8_e4m3fnuz, 0x80)));
    EXPECT_EQ(f64_from_f8(DType::f8_e8m0, 127), 1.0);
    EXPECT_EQ(f64_from_f8(DType::f8_e8m0, 130), 8.0);
}

TEST(Float8, EveryValueRoundsToItself) {
    for (const DType form : forms) {
        for (int bits = 0; bits < 256; ++bits) {
            const double value = f64_from_f8(form, static_cast<std::uint8_t>(bits));
            if (std::isfinite(value) && (value != 0.0 || bits == 0)) {
                EXPECT_EQ(f8_from_f64(form, value), bits) << to_string(form);
            }
        }
    }
}

TEST(Float8, RoundsToTheNearestAndTiesToEven) {
    for (const DType form : forms) {
        std::vector<std::pair<double, int>> values;
        for (int bits = 0; bits < 128; ++bits) {
            const double value = f64_from_f8(form, static_cast<std::uint8_t>(bits));
            if (std::isfinite(value)) {
                values.emplace_back(value, bits);
            }
        }
        for (std::size_t i = 1; i < values.size(); ++i) {
            const double middle = (values[i - 1].first + values[i].first) / 2;
            const int even = values[i].second % 2 == 0 ? values[i].second : values[i - 1].second;
            EXPECT_EQ(f8_from_f64(form, middle), even) << to_string(form);
            EXPECT_EQ(f8_from_f64(form, std::nextafter(middle, 0.0)), values[i - 1].second);
            EXPECT_EQ(f8_from_f64(form, std::nextafter(middle, 1e9)), values[i].second);
        }
        EXPECT_EQ(f64_from_f8(form, f8_from_f64(form, 1e30)), largest_f8(form));
        EXPECT_EQ(f64_from_f8(form, f8_from_f64(form, -1e30)), -largest_f8(form));
        EXPECT_TRUE(std::isnan(
            f64_from_f8(form, f8_from_f64(form, std::numeric_limits<double>::quiet_NaN()))));
    }
}

}  // namespace
}  // namespace anamnesis
