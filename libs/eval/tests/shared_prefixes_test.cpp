// SPDX-License-Identifier: Apache-2.0
#include "shared_prefixes.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anamnesis::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SharedPrefixes, CountWhatTwoSequencesBeginWith) {
    const std::vector<language::TokenId> a{1, 2, 3, 4};
    const std::vector<language::TokenId> b{1, 2, 9};
    EXPECT_EQ(common_prefix(a, b), 2U);
    EXPECT_EQ(common_prefix(a, a), 4U);
    EXPECT_EQ(common_prefix(a, {}), 0U);
}

TEST(SharedPrefixes, BranchWhereLaterSequencesLeave) {
    // Shared with the next: 30; with the one after it: 20; with the fourth: 20; the fifth: 5.
    const std::vector<std::size_t> common{30, 20, 25, 5};
    EXPECT_THAT(branch_places(common, 0, 1, 8), ElementsAre(5U, 20U, 30U));
    EXPECT_THAT(branch_places(common, 10, 1, 8), ElementsAre(20U, 30U));
    EXPECT_THAT(branch_places(common, 30, 1, 8), IsEmpty());
    EXPECT_THAT(branch_places({}, 0, 1, 8), IsEmpty());
}

TEST(SharedPrefixes, BranchAtWholePiecesOnly) {
    const std::vector<std::size_t> common{30, 20, 7};
    EXPECT_THAT(branch_places(common, 0, 8, 8), ElementsAre(16U, 24U));
}

TEST(SharedPrefixes, GiveUpThePlacesThatSaveLeast) {
    const std::vector<std::size_t> common{100, 60, 55, 10};
    EXPECT_THAT(branch_places(common, 0, 1, 2), ElementsAre(55U, 100U));
}

}  // namespace
}  // namespace anamnesis::eval
