// SPDX-License-Identifier: Apache-2.0
//
// What outputs must not do: take the place of inputs, be left half made, carry control bytes.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "behaviour.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(Behaviour, APageTakesThePlaceOfPagesAlone) {
    use("llama");
    const auto before = snapshot(folder_.path());
    const std::vector<std::vector<std::string>> verbs{
        {"drift", "-q", "--pre", pre_.string(), "--post", post_.string(), "--html"},
        {"doctor", "-q", pre_.string(), post_.string(), "--html"}};
    for (const std::vector<std::string>& verb : verbs) {
        for (const fs::path& target :
             {post_ / "model.safetensors", post_ / ".." / "pre" / "config.json"}) {
            std::vector<std::string> words = verb;
            words.push_back(target.string());
            const CommandResult refused = command(words);
            EXPECT_EQ(refused.exit_code, 2) << verb.front();
            EXPECT_THAT(refused.errors, HasSubstr("is no page"));
        }
    }
    EXPECT_EQ(snapshot(folder_.path()), before);
    std::vector<std::string> words = verbs.front();
    words.push_back((folder_.path() / "page.html").string());
    EXPECT_EQ(command(words).exit_code, 0);
    EXPECT_EQ(command(words).exit_code, 0);
}

TEST_F(Behaviour, ResultsDoNotGoIntoTheFolderOfACheckpoint) {
    use("llama");
    const auto before = snapshot(folder_.path());
    const CommandResult refused =
        command({"niah",
                 "--endpoint",
                 "http://127.0.0.1:9",
                 "--tokenizer",
                 std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2",
                 "--model",
                 "m=m",
                 "--tasks",
                 "s1",
                 "--lengths",
                 "2k",
                 "--out",
                 post_.string()});
    EXPECT_EQ(refused.exit_code, 2) << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr("the folder of a checkpoint"));
    EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_F(Behaviour, ARepairOverAnEarlierOneNamesEveryPhase) {
    use("qwen3");
    ASSERT_EQ(restore({"--in-place", "--layers", "0"}).exit_code, 0);
    const CommandResult again = restore({"--in-place", "--layers", "1"});
    ASSERT_EQ(again.exit_code, 0) << again.errors;
    EXPECT_THAT(again.output, HasSubstr("an earlier repair in place was undone first"));
    EXPECT_THAT(again.errors, AllOf(Not(StartsWith(": ")), Not(HasSubstr("of 0 bytes"))));
}

TEST_F(Behaviour, NamesOfTensorsDoNotMoveTheCursor) {
    use("llama");
    // Of the same length, as JSON writes ESC and a line break.
    edit(post_ / "model.safetensors", "model.norm.weight", R"(m\u001b\u000am.nw)");
    const CommandResult result = command({"inspect", "--tensors", post_.string()});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, AllOf(HasSubstr(R"(m\x1b\x0am.nw)"), Not(HasSubstr("\x1b"))));
}

TEST_F(Behaviour, AnExampleThatDoesNotFitLeavesNothing) {
    const CommandResult result =
        run_command({"/bin/sh",
                     "-c",
                     std::string("ulimit -f 4; exec ") + ANAMNESIS_BINARY + " example " +
                         (folder_.path() / "new" / "pair").string()});
    EXPECT_TRUE(result.exit_code == 7 || result.exit_code == 8) << result.exit_code;
    EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Behaviour, AVerbThatRunsAModelNeedsAFolderToWorkIn) {
    const CommandResult result = run_command(
        {"/bin/sh",
         "-c",
         "cd " + folder_.path().string() + " && mkdir gone && cd gone && rmdir ../gone && exec " +
             ANAMNESIS_BINARY + " logits --model m --ids i --out o"});
    EXPECT_EQ(result.exit_code, 7) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("anamnesis: io: the working folder"));
}

}  // namespace
}  // namespace anamnesis::testing
