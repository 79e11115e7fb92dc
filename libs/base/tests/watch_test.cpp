// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/watch.hpp"

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"

namespace anamnesis {
namespace {

class CountingProgress final : public Progress {
public:
    void begin(std::string_view /*phase*/, std::uint64_t total, ProgressUnit /*unit*/) override {
        total_ = total;
    }
    void advance(std::uint64_t count) override { done_ += count; }
    void finish() override {}

    std::uint64_t total() const { return total_; }
    std::uint64_t done() const { return done_; }

private:
    std::uint64_t total_ = 0;
    std::uint64_t done_ = 0;
};

TEST(Watch, TheDefaultTellsNobodyAndNeverStops) {
    const Watch watch;
    watch.progress().begin("work", 3, ProgressUnit::steps);
    watch.progress().advance(3);
    watch.progress().finish();
    watch.log("a line");
    watch.warn("a warning");
    EXPECT_FALSE(watch.is_stopped());
    EXPECT_NO_THROW(throw_if_stopped(watch, [] { return std::string("never made"); }));
}

TEST(Watch, CopiesReportToTheSamePlaceAndStopTogether) {
    CountingProgress progress;
    std::stop_source source;
    std::vector<std::string> lines;
    const Watch watch(
        progress, source.get_token(), [&](std::string_view line) { lines.emplace_back(line); });
    const Watch copy = watch;  // NOLINT(performance-unnecessary-copy-initialization): the subject
    copy.progress().begin("work", 5, ProgressUnit::steps);
    copy.progress().advance(2);
    copy.log("step 2");
    EXPECT_EQ(progress.total(), 5U);
    EXPECT_EQ(progress.done(), 2U);
    EXPECT_EQ(lines, std::vector<std::string>{"step 2"});
    source.request_stop();
    EXPECT_TRUE(copy.is_stopped());
    try {
        throw_if_stopped(copy, [] { return std::string("interrupted after step 2 of 5"); });
        FAIL() << "a stopped watch throws";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
        EXPECT_EQ(std::string(error.what()), "interrupted after step 2 of 5");
    }
}

TEST(Watch, AJobWithinAJobKeepsStopAndLinesAndShowsNoProgress) {
    CountingProgress progress;
    std::stop_source source;
    std::vector<std::string> warnings;
    const Watch watch(progress, source.get_token(), {}, [&](std::string_view line) {
        warnings.emplace_back(line);
    });
    const Watch inner = watch.without_progress();
    inner.progress().advance(7);
    inner.warn("odd");
    source.request_stop();
    EXPECT_EQ(progress.done(), 0U);
    EXPECT_EQ(warnings.size(), 1U);
    EXPECT_TRUE(inner.is_stopped());
}

}  // namespace
}  // namespace anamnesis
