// SPDX-License-Identifier: Apache-2.0
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "train_command.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t steps = 16;
constexpr std::size_t evaluated_every = 8;

/// When Ctrl-C comes, and how often.
struct Moment {
    const char* name;
    std::size_t lines;                  ///< of metrics.jsonl that are there then
    std::chrono::milliseconds later{};  ///< after the last of them
    int signals = 1;
};

class ARunThatIsStopped : public ::testing::TestWithParam<Moment> {
protected:
    static std::vector<std::string> command(const fs::path& out) {
        return {"train",
                "--init",
                std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json",
                "--initializer",
                "fan_in",
                "--data",
                "synthetic:cot",
                "--stages",
                format("{}x16x112", steps),
                "--lr",
                "3e-3",
                "--threads",
                "1",
                "--eval-every",
                format("{}", evaluated_every),
                "--eval-lengths",
                "96",
                "--eval-samples",
                "400",
                "--out",
                out.string()};
    }

    /// The lines without the one figure that a clock makes.
    static std::vector<std::string> lines_without_speed(const fs::path& out) {
        std::vector<std::string> lines;
        for (const Json& line : read_metrics(out)) {
            Json kept = Json::object();
            for (const auto& [key, value] : line.as_object("a line")) {
                if (key != "tokens_per_second") {
                    kept.set(key, value);
                }
            }
            lines.push_back(kept.dump());
        }
        return lines;
    }

    /// The run that nobody stops, made once for all moments.
    static const fs::path& whole() {
        static const TemporaryFolder folder;
        static const fs::path out = [] {
            fs::path path = folder.path() / "whole";
            EXPECT_EQ(run_anamnesis(command(path)).exit_code, 0);
            return path;
        }();
        return out;
    }

    TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(
    AtAnyMoment,
    ARunThatIsStopped,
    ::testing::Values(Moment{.name = "WhileItTrains", .lines = 2},
                      Moment{.name = "TwiceWhileItTrains", .lines = 1, .signals = 2},
                      Moment{.name = "WhileItIsAsked",
                             .lines = evaluated_every - 1,
                             .later = std::chrono::milliseconds(500)},
                      Moment{.name = "TwiceWhileItIsAsked",
                             .lines = evaluated_every - 1,
                             .later = std::chrono::milliseconds(500),
                             .signals = 2},
                      Moment{.name = "AfterItWasAskedOnce", .lines = evaluated_every},
                      Moment{.name = "WhileItIsAskedForTheLastTime",
                             .lines = steps - 1,
                             .later = std::chrono::milliseconds(500)}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ARunThatIsStopped, SavesItsStateAndEndsInTheSameBits) {
    const Moment& moment = GetParam();
    const fs::path out = folder_.path() / "stopped";
    const fs::path metrics = out / "metrics.jsonl";
    Clock::time_point signalled;
    const CommandResult stopped =
        run_anamnesis(command(out), {.beside = [&](pid_t program) {
                          wait_for_lines(metrics, moment.lines);
                          std::this_thread::sleep_for(moment.later);
                          signalled = Clock::now();
                          for (int i = 0; i < moment.signals; ++i) {
                              ::kill(program, SIGINT);
                              std::this_thread::sleep_for(std::chrono::milliseconds(50));
                          }
                      }});
    const double seconds = std::chrono::duration<double>(Clock::now() - signalled).count();
    RecordProperty("milliseconds_to_the_end", static_cast<int>(seconds * 1000.0));
    // On an idle machine it is half a second.
    EXPECT_LT(seconds, 30.0);
    ASSERT_EQ(stopped.exit_code, 130) << stopped.output << stopped.errors;
    const std::size_t done = read_metrics(out).size();
    ASSERT_GE(done, moment.lines);
    EXPECT_NE(stopped.errors.find(format("interrupted after step {} of {}; run the same command "
                                         "to resume",
                                         done,
                                         steps)),
              std::string::npos)
        << stopped.errors;
    EXPECT_TRUE(fs::exists(out / "resume" / format("step-{}.safetensors", done)));
    const bool was_cut =
        done % evaluated_every == 0 && read_metrics(out).back().find("evaluation") == nullptr;
    RecordProperty("evaluation_was_cut", was_cut ? "yes" : "no");

    const CommandResult resumed = run_anamnesis(command(out));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.errors;
    EXPECT_EQ(lines_without_speed(out), lines_without_speed(whole()));
    EXPECT_EQ(io::read_text(out / "model.safetensors"),
              io::read_text(whole() / "model.safetensors"));
    const auto loss = [](const fs::path& run) {
        return Json::parse(io::read_text(run / "training.json")).at("loss").as_double("loss");
    };
    EXPECT_EQ(loss(out), loss(whole()));
}

/// A run at a rate at which no weight stays a number for long.
CommandResult diverge(const fs::path& out,
                      const std::string& stages,
                      const std::string& rate,
                      const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"train",
                                   "--init",
                                   std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json",
                                   "--data",
                                   "synthetic:cot",
                                   "--stages",
                                   stages,
                                   "--lr",
                                   rate,
                                   "--out",
                                   out.string()};
    words.insert(words.end(), more.begin(), more.end());
    return run_anamnesis(words);
}

TEST(ARunThatDiverges, SaysWhereAndKeepsItsStates) {
    const TemporaryFolder folder;
    const fs::path out = folder.path() / "diverged";
    const CommandResult result = diverge(out, "8x2x112", "1e30", {"--save-every", "1"});
    EXPECT_EQ(result.exit_code, 9) << result.errors;
    EXPECT_NE(result.errors.find("numerical: the loss is not a number at step"), std::string::npos)
        << result.errors;
    EXPECT_NE(result.errors.find("lower --lr"), std::string::npos) << result.errors;
    const std::size_t done = read_metrics(out).size();
    ASSERT_GE(done, 1U);
    EXPECT_TRUE(fs::exists(out / "resume" / format("step-{}.safetensors", done)));
}

TEST(ARunThatDiverges, WritesNoCheckpointWhereTheLastStepDidIt) {
    const TemporaryFolder folder;
    const fs::path out = folder.path() / "diverged";
    const CommandResult result = diverge(out, "1x2x112", "1e38");
    EXPECT_EQ(result.exit_code, 9) << result.errors;
    EXPECT_NE(result.errors.find("after the last step"), std::string::npos) << result.errors;
    EXPECT_FALSE(fs::exists(out / "model.safetensors"));
    EXPECT_FALSE(fs::exists(out / "training.json"));
}

}  // namespace
}  // namespace anamnesis::testing
