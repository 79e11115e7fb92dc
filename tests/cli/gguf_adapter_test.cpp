// SPDX-License-Identifier: Apache-2.0
//
// LoRA adapters of llama.cpp through the real binary.
#include <cstddef>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "adapters.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path gguf = own_cases / "rslora/gguf";

/// The base has three layers.
TEST_F(Adapters, OfLlamaCppForLayersThatTheBaseLacksAreRefused) {
    std::string bytes = read_file(gguf / "adapter.gguf");
    std::size_t count = 0;
    for (std::size_t at = bytes.find("blk.2."); at != std::string::npos;
         at = bytes.find("blk.2.", at)) {
        bytes[at + 4] = '9';
        ++count;
    }
    ASSERT_EQ(count, 14U);
    const std::string deep = folder_.write("deep.gguf", bytes).string();
    for (const fs::path& base : {gguf / "base.gguf", own_cases / "rslora/base"}) {
        const CommandResult result =
            run({"restore", "--pre", base.string(), "--post", deep, "--out", out("repaired.gguf")});
        EXPECT_EQ(result.exit_code, 6) << base;
        EXPECT_THAT(result.errors,
                    AllOf(HasSubstr("14 tensors of the adapter name nothing in the base"),
                          HasSubstr("blk.9.")));
        EXPECT_FALSE(fs::exists(out("repaired.gguf")));
        const CommandResult inspected = run({"inspect", deep, "--base", base.string(), "--json"});
        EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
        EXPECT_THAT(inspected.output, HasSubstr("unmatched_adapter_tensors"));
    }
}

TEST_F(Adapters, OfLlamaCppAreGoodAndNotMerged) {
    const std::string adapter = (gguf / "adapter.gguf").string();
    const std::string base = (gguf / "base.gguf").string();
    const CommandResult inspected = run({"inspect", adapter, "--base", base, "--strict"});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
    EXPECT_THAT(inspected.output,
                AllOf(HasSubstr("note: a GGUF adapter is repaired"), Not(HasSubstr("error:"))));
    EXPECT_EQ(run({"inspect", adapter, "--strict"}).exit_code, 0);
    for (const std::string& under : {base, (own_cases / "rslora/base").string()}) {
        const CommandResult merged =
            run({"restore", "--pre", under, "--adapter", adapter, "--out", out("merged")});
        EXPECT_EQ(merged.exit_code, 5) << under;
        EXPECT_THAT(merged.errors, HasSubstr("a GGUF adapter is repaired"));
        EXPECT_FALSE(fs::exists(out("merged")));
    }
}

}  // namespace
}  // namespace anamnesis::testing
