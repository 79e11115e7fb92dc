// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/prompts_file.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/eval/sample.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<std::size_t> round(const std::vector<std::size_t>& lengths) {
    std::vector<Sample> samples;
    for (const std::size_t length : lengths) {
        samples.push_back({.length = length});
    }
    round_to_sets(samples);
    std::vector<std::size_t> rounded;
    for (const Sample& sample : samples) {
        rounded.push_back(sample.length);
    }
    return rounded;
}

TEST(PromptsFile, LengthsAreThoseOfTheSetsThatRulerMade) {
    // As RULER's steps leave them.
    EXPECT_THAT(round({331, 1019, 334, 1022}), Each(1024U));
    EXPECT_THAT(round({482, 491}), Each(512U));
    EXPECT_THAT(round({2426, 3064, 3071}), Each(3072U));
    EXPECT_THAT(round({14'309, 16'377, 16'384}), Each(16'384U));
    EXPECT_THAT(round({131'071}), Each(131'072U));
    // Several lengths in one file.
    EXPECT_THAT(round({310, 1024, 3463, 4094}), ElementsAre(1024U, 1024U, 4096U, 4096U));
}

TEST(PromptsFile, MayLeaveLengthsOut) {
    const testing::TemporaryFolder folder;
    const auto path = folder.write("p.jsonl",
                                   R"({"input": "a", "outputs": ["1"]})"
                                   "\n"
                                   R"({"input": "b", "outputs": ["2"], "length": 700})"
                                   "\n");
    const std::vector<Sample> samples = read_ruler_prompts(path, "p");
    ASSERT_EQ(samples.size(), 2U);
    EXPECT_EQ(samples[0].length, 0U);
    EXPECT_EQ(samples[1].length, 700U);
}

}  // namespace
}  // namespace anamnesis::eval
