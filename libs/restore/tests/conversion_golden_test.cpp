// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"

#include "golden_files.hpp"

namespace anamnesis::restore {
namespace {

std::uint32_t bits_from_hex(std::string_view text) {
    std::uint32_t bits = 0;
    std::from_chars(text.data() + 2, text.data() + text.size(), bits, 16);
    return bits;
}

bool is_nan(DType dtype, std::uint32_t bits) {
    switch (dtype) {
        case DType::f32:
            return (bits & 0x7FFF'FFFFU) > 0x7F80'0000U;
        case DType::bf16:
            return (bits & 0x7FFFU) > 0x7F80U;
        default:
            return (bits & 0x7FFFU) > 0x7C00U;
    }
}

/// What happens to restored rows where pre and post have different types, against torch's.
TEST(ConversionGolden, ConvertsAsTorchDoes) {
    const auto path = golden::find("convert/cases.json");
    ASSERT_TRUE(path.has_value());
    const Json cases = golden::read_json_file(*path);
    for (const Json& direction : cases.at("cases").as_array("cases")) {
        const DType from = find_dtype(direction.at("from").as_string("from")).value();
        const DType to = find_dtype(direction.at("to").as_string("to")).value();
        for (const Json& row : direction.at("rows").as_array("rows")) {
            const std::string& input = row.as_array("row")[0].as_string("input");
            const std::string& expected = row.as_array("row")[1].as_string("expected");
            const std::uint32_t source = bits_from_hex(input);
            std::uint32_t target = 0;
            convert(from,
                    std::as_bytes(std::span(&source, 1)).first(element_bytes(from)),
                    to,
                    std::as_writable_bytes(std::span(&target, 1)).first(element_bytes(to)));
            if (expected == "nan") {
                EXPECT_TRUE(is_nan(to, target)) << input;
                EXPECT_EQ(source >> (8 * element_bytes(from) - 1),
                          target >> (8 * element_bytes(to) - 1))
                    << input;
            } else {
                EXPECT_EQ(target, bits_from_hex(expected)) << input;
            }
        }
    }
}

}  // namespace
}  // namespace anamnesis::restore
