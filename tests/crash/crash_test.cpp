// SPDX-License-Identifier: Apache-2.0
//
// The real binary with the disk failing at its k-th call, for every k, and killed at every k and at
// random moments. Whatever happens, the inputs and an existing output stay whole, no partial output
// becomes visible, and a rerun succeeds.
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;

/// A way of writing a repair.
struct Mode {
    std::string name;
    bool is_in_place = false;
};

class Crash : public ::testing::TestWithParam<Mode> {
protected:
    Crash() {
        // Sharded, with q_proj and k_proj in different files.
        const fs::path family = fs::path(ANAMNESIS_TESTDATA) / "surgery" / "qwen3_next";
        fs::copy(family / "pre", pre_, fs::copy_options::recursive);
        fs::copy(family / "post", original_, fs::copy_options::recursive);
        reset();
        if (GetParam().name == "apply") {
            run({"restore",
                 "--pre",
                 pre_.string(),
                 "--post",
                 original_.string(),
                 "--patch",
                 (folder_.path() / "made.safetensors").string()});
        }
        if (GetParam().name == "undo") {
            repair_in_place();
            repaired_ = snapshot(post_);
        }
        pre_files_ = snapshot(pre_);
        post_files_ = snapshot(original_);
        run(command());
        result_ = outcome();
        reset();
    }

    /// post as it was; no output.
    void reset() {
        fs::remove_all(post_);
        fs::remove_all(work_);
        fs::create_directories(work_);
        fs::copy(original_, post_, fs::copy_options::recursive);
        if (GetParam().name == "undo") {
            repair_in_place();
        }
    }

    void repair_in_place() {
        run({"restore", "--pre", pre_.string(), "--post", post_.string(), "--in-place"});
    }

    std::vector<std::string> command() const {
        const std::string& mode = GetParam().name;
        if (mode == "undo") {
            return {"undo", post_.string(), "--threads", "1"};
        }
        if (mode == "apply") {
            return {"apply",
                    (folder_.path() / "made.safetensors").string(),
                    "--to",
                    post_.string(),
                    "--threads",
                    "1"};
        }
        std::vector<std::string> arguments{
            "restore", "--pre", pre_.string(), "--post", post_.string(), "--threads", "1"};
        if (mode == "in_place") {
            arguments.emplace_back("--in-place");
        } else if (mode == "patch") {
            arguments.insert(arguments.end(), {"--patch", (work_ / "p.safetensors").string()});
        } else {
            arguments.insert(arguments.end(), {"--out", (work_ / "out").string()});
            if (mode == "link") {
                arguments.emplace_back("--link");
            }
        }
        return arguments;
    }

    static CommandResult run(std::vector<std::string> arguments,
                             const Environment& environment = {}) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments, {.environment = environment, .kill_after = {}});
    }

    CommandResult run_with_fault(long at, int reason) const {
        Environment environment{{"LD_PRELOAD", ANAMNESIS_FAULT_LIBRARY},
                                {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"},
                                {"ANAMNESIS_FAULT_AT", format("{}", at)}};
        if (reason != 0) {
            environment.emplace_back("ANAMNESIS_FAULT_ERRNO", format("{}", reason));
        }
        return run(command(), environment);
    }

    long count_calls() {
        const fs::path file = folder_.path() / "count";
        run(command(),
            {{"LD_PRELOAD", ANAMNESIS_FAULT_LIBRARY},
             {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"},
             {"ANAMNESIS_FAULT_COUNT", file.string()}});
        reset();
        return std::atol(read_file(file).c_str());
    }

    /// What the mode made: weights by digest, so that times in receipts do not matter.
    std::map<std::string, std::string> outcome() const {
        const std::string& mode = GetParam().name;
        if (mode == "patch") {
            return tensor_digests(work_ / "p.safetensors");
        }
        return tensor_digests(GetParam().is_in_place ? post_ : work_ / "out");
    }

    void expect_inputs_whole() const {
        EXPECT_EQ(snapshot(pre_), pre_files_);
        if (!GetParam().is_in_place) {
            EXPECT_EQ(snapshot(post_), post_files_);
        }
    }

    /// After a failure that the program survived: nothing of it is seen.
    void expect_nothing_left() const {
        expect_inputs_whole();
        if (!GetParam().is_in_place) {
            EXPECT_TRUE(fs::is_empty(work_)) << fs::directory_iterator(work_)->path();
        }
    }

    void expect_rerun_succeeds() {
        const auto rerun = run(command());
        const bool is_done_already = GetParam().name == "undo" && rerun.exit_code == 3;
        EXPECT_TRUE(rerun.exit_code == 0 || is_done_already) << rerun.errors;
        EXPECT_EQ(outcome(), result_);
        expect_inputs_whole();
    }

    TemporaryFolder folder_;
    fs::path pre_ = folder_.path() / "pre";
    fs::path original_ = folder_.path() / "original";
    fs::path post_ = folder_.path() / "post";
    fs::path work_ = folder_.path() / "work";
    Files pre_files_;
    Files post_files_;
    Files repaired_;
    std::map<std::string, std::string> result_;
};

TEST_P(Crash, SurvivesAFailureOfEveryCall) {
    const long calls = count_calls();
    ASSERT_GT(calls, 4);
    const std::vector<std::pair<int, int>> reasons{{EIO, 7}, {ENOSPC, 8}, {EDQUOT, 8}};
    for (long at = 1; at <= calls; ++at) {
        const auto [reason, code] = reasons[static_cast<std::size_t>(at) % reasons.size()];
        SCOPED_TRACE(format("call {} of {} fails with {}", at, calls, reason));
        const auto failed = run_with_fault(at, reason);
        if (failed.exit_code == 0) {
            // The call was one that may fail: sharing blocks or the like has another way.
            EXPECT_EQ(outcome(), result_);
        } else if (fs::exists(work_ / "out") || fs::exists(work_ / "p.safetensors")) {
            // Only the sync of the parent after the rename: whole, though perhaps not yet on disk.
            EXPECT_EQ(outcome(), result_);
            fs::remove_all(work_);
            fs::create_directories(work_);
        } else {
            EXPECT_EQ(failed.exit_code, code) << failed.errors;
            EXPECT_THAT(failed.errors, ::testing::StartsWith("anamnesis: "));
            expect_nothing_left();
        }
        if (GetParam().is_in_place || !fs::exists(work_ / "out")) {
            if (!fs::exists(work_ / "p.safetensors")) {
                expect_rerun_succeeds();
            }
        }
        reset();
    }
}

TEST_P(Crash, SurvivesAKillAtEveryCall) {
    const long calls = count_calls();
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(format("killed at call {} of {}", at, calls));
        const auto killed = run_with_fault(at, 0);
        ASSERT_TRUE(killed.was_killed);
        expect_inputs_whole();
        if (fs::exists(work_ / "out") || fs::exists(work_ / "p.safetensors")) {
            EXPECT_EQ(outcome(), result_);
        } else {
            expect_rerun_succeeds();
            for (const auto& entry : fs::directory_iterator(work_)) {
                const bool is_partial =
                    entry.path().filename().string().find(".out.partial") != std::string::npos;
                EXPECT_FALSE(is_partial) << entry.path() << " was left by the rerun";
            }
        }
        reset();
    }
}

TEST_P(Crash, SurvivesKillsAtRandomMoments) {
    Random random(11);
    int killed = 0;
    for (int round = 0; round < 60; ++round) {
        const auto delay = std::chrono::microseconds(500 + random.below(25'000));
        SCOPED_TRACE(format("killed after {} microseconds", delay.count()));
        std::vector<std::string> arguments = command();
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        killed +=
            run_command(arguments, {.environment = {}, .kill_after = delay}).was_killed ? 1 : 0;
        expect_inputs_whole();
        if (fs::exists(work_ / "out") || fs::exists(work_ / "p.safetensors")) {
            EXPECT_EQ(outcome(), result_);
        } else {
            expect_rerun_succeeds();
        }
        reset();
    }
    EXPECT_GT(killed, 0);
}

class CrashInPlace : public Crash {};

TEST_P(CrashInPlace, LeavesAnInterruptedRepairUndoable) {
    const long calls = count_calls();
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(format("killed at call {} of {}", at, calls));
        ASSERT_TRUE(run_with_fault(at, 0).was_killed);
        if (fs::exists(post_ / "anamnesis.undo")) {
            const auto undone = run({"undo", post_.string()});
            EXPECT_EQ(undone.exit_code, 0) << undone.errors;
        }
        auto files = snapshot(post_);
        std::erase_if(files, [](const auto& file) {
            return file.first.find(".partial-") != std::string::npos;
        });
        EXPECT_EQ(files, post_files_);
        reset();
    }
}

INSTANTIATE_TEST_SUITE_P(Modes,
                         Crash,
                         ::testing::Values(Mode{"out"},
                                           Mode{"link"},
                                           Mode{"patch"},
                                           Mode{"in_place", true},
                                           Mode{"undo", true},
                                           Mode{"apply", true}),
                         [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(Modes, CrashInPlace, ::testing::Values(Mode{"in_place", true}));

TEST(CrashOutput, AnExistingOutputIsNotHarmed) {
    const TemporaryFolder folder;
    const fs::path family = fs::path(ANAMNESIS_TESTDATA) / "surgery" / "llama";
    const fs::path out = folder.path() / "out";
    fs::create_directories(out);
    std::ofstream(out / "precious.txt") << "mine";
    const auto refused = run_command({ANAMNESIS_BINARY,
                                      "restore",
                                      "--pre",
                                      (family / "pre").string(),
                                      "--post",
                                      (family / "post").string(),
                                      "--out",
                                      out.string()});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, ::testing::HasSubstr("exists already"));
    EXPECT_EQ(snapshot(out), (Files{{"precious.txt", "mine"}}));
}

}  // namespace
}  // namespace anamnesis::testing
