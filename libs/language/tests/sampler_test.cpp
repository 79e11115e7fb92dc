// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/sampler.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"

namespace anamnesis::language {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

std::string refusal(const std::vector<float>& logits) {
    try {
        likeliest(logits);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(Likeliest, IsTheFirstOfTheGreatest) {
    Random random(7);
    for (std::size_t size = 1; size < 70; ++size) {
        std::vector<float> logits(size);
        for (float& logit : logits) {
            // Few values, so that many are equal.
            logit = static_cast<float>(random.uniform() * 5.0) > 1.0F ? -2.0F : -1.5F;
        }
        EXPECT_EQ(likeliest(logits), std::ranges::max_element(logits) - logits.begin()) << size;
    }
    EXPECT_EQ(likeliest(std::vector<float>{-infinity, -3.0F, -infinity}), 1);
}

TEST(Likeliest, RefusesWhatIsNoNumberWhereverItIs) {
    for (const std::size_t size : {1U, 16U, 17U, 40U}) {
        for (std::size_t bad = 0; bad < size; ++bad) {
            std::vector<float> logits(size, 0.5F);
            logits[bad] = not_a_number;
            EXPECT_THAT(refusal(logits),
                        ::testing::HasSubstr("NaN as the logit of token " + std::to_string(bad)));
            logits[bad] = infinity;
            EXPECT_THAT(
                refusal(logits),
                ::testing::HasSubstr("infinity as the logit of token " + std::to_string(bad)));
        }
    }
    std::vector<float> both(40, 0.0F);
    both[3] = infinity;
    both[19] = not_a_number;
    EXPECT_THAT(refusal(both), ::testing::HasSubstr("infinity as the logit of token 3"));
    EXPECT_THAT(refusal(std::vector<float>(20, -infinity)),
                ::testing::HasSubstr("no finite logit"));
    EXPECT_THAT(refusal({}), ::testing::HasSubstr("no logits"));
}

}  // namespace
}  // namespace anamnesis::language
