// SPDX-License-Identifier: Apache-2.0
//
// What a variable of the shell that is not set leaves on a command line: an empty value is refused
// by every option, whatever it would be read as.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "behaviour.hpp"
#include "run_command.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class EmptyValues : public Behaviour {
protected:
    void SetUp() override { use("llama"); }

    void expect_refusal(const CommandResult& result, const std::string& option) const {
        EXPECT_EQ(result.exit_code, 2) << option << result.output << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(option + ":"));
        EXPECT_THAT(result.errors, HasSubstr("is empty"));
        EXPECT_FALSE(fs::exists(out_));
    }
};

TEST_F(EmptyValues, OfNumbersWordsAndListsAreRefused) {
    const Words pro{"--out", out_.string(), "--method", "pro"};
    for (const Words& option : {Words{"--lambda-rel", ""},
                                Words{"--lambda-rel="},
                                Words{"--lambda-rel", "0.1,,1"},
                                Words{"--lambda-rel=0.1,"},
                                Words{"--lambda-rel", "1", ",2"},
                                Words{"--lambda-rel", "[]"},
                                Words{"--lambda", ""},
                                Words{"--metric", ""},
                                Words{"--layers", ""},
                                Words{"--heads", ""},
                                Words{"--allow", ""},
                                Words{"--allow", "family,,heads"},
                                Words{"--threads", ""},
                                Words{"--threads="}}) {
        Words words = option;
        words.insert(words.end(), pro.begin(), pro.end());
        expect_refusal(restore(words), option.front().substr(0, option.front().find('=')));
    }
    expect_refusal(restore({"--out", out_.string(), "--method", "lerp", "--alpha", ""}), "--alpha");
    expect_refusal(restore({"--out", out_.string(), "--method", ""}), "--method");
}

TEST_F(EmptyValues, DoNotTakeTheGateOutOfDrift) {
    const Words drift{"drift", "--pre", pre_.string(), "--post", post_.string(), "--limit"};
    Words words = drift;
    words.emplace_back("");
    expect_refusal(command(words), "--limit");
    words.back() = "1e9";
    EXPECT_EQ(command(words).exit_code, 0);
}

TEST_F(EmptyValues, OfPositionalsAreRefused) {
    expect_refusal(command({"inspect", ""}), "checkpoint");
    expect_refusal(command({"doctor", post_.string(), ""}), "post");
    expect_refusal(command({"example", ""}), "folder");
}

TEST_F(EmptyValues, AreTakenWhereATextMayBeEmpty) {
    const CommandResult result = restore({"--out", out_.string(), "--note", ""});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    // What looks like an option without a value is a value here.
    EXPECT_EQ(restore({"--dry-run", "--note", "--layers="}).exit_code, 0);
}

TEST_F(EmptyValues, NegativeCountsAreNotToldToBeZero) {
    const CommandResult result = restore({"--dry-run", "--threads", "-1"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("--threads: the value is negative"));
    EXPECT_THAT(result.errors, ::testing::Not(HasSubstr("give 0")));
}

}  // namespace
}  // namespace anamnesis::testing
