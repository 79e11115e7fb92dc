// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/events_file.hpp"

#include <string>

#include <gtest/gtest.h>

namespace anamnesis::train {
namespace {

std::string hex(const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
        constexpr const char* digits = "0123456789abcdef";
        const auto value = static_cast<unsigned char>(c);
        text += digits[value >> 4U];
        text += digits[value & 15U];
    }
    return text;
}

TEST(Crc32c, GivesTheValuesOfRfc3720) {
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
    EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
    EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
}

TEST(AnEventOfScalars, IsTheBytesOfTheProtocol) {
    // wall_time 1.0; step 300; summary { value { tag: "loss" simple_value: 0.5 } }
    EXPECT_EQ(hex(scalar_event(1.0, 300, {{"loss", 0.5}})),
              "09000000000000f03f"
              "10ac02"
              "2a0d"
              "0a0b"
              "0a046c6f7373"
              "150000003f");
}

TEST(ARecord, HasItsLengthAndBothChecksums) {
    const std::string record = make_record("123456789");
    ASSERT_EQ(record.size(), 8U + 4U + 9U + 4U);
    EXPECT_EQ(hex(record.substr(0, 8)), "0900000000000000");
    EXPECT_EQ(record.substr(12, 9), "123456789");
    // rotr(0xE3069283, 15) + 0xA282EAD8
    EXPECT_EQ(hex(record.substr(21)), "e5b08ac7");
}

}  // namespace
}  // namespace anamnesis::train
