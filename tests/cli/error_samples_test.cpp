// SPDX-License-Identifier: Apache-2.0
//
// The samples of docs/errors.md are what the program prints.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "document_blocks.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

struct Sample {
    std::string command;
    std::string output;
};

/// Lines that begin with "$ " are commands, the others are printed by the one before.
std::vector<Sample> read_samples(const DocumentBlock& block) {
    std::vector<Sample> samples;
    for (const std::string& line : block.lines) {
        if (line.starts_with("$ ")) {
            samples.push_back({.command = line.substr(2), .output = {}});
        } else {
            samples.at(samples.size() - 1).output += line + "\n";
        }
    }
    return samples;
}

/// Runs a line in a shell with the program on its path. `code` is that of the line before.
std::string run_line(const std::string& command, int& code) {
    const std::string path = fs::path(ANAMNESIS_BINARY).parent_path().string();
    const std::string line =
        "PATH='" + path + "':$PATH; (exit " + std::to_string(code) + "); " + command;
    const CommandResult result = run_command({"/bin/sh", "-c", line});
    code = result.exit_code;
    return result.output + result.errors;
}

TEST(ErrorSamples, AreWhatTheProgramPrints) {
    std::size_t commands = 0;
    for (const DocumentBlock& block : read_blocks("errors.md", "console")) {
        const TemporaryFolder folder;
        fs::current_path(folder.path());
        ASSERT_EQ(run_command({ANAMNESIS_BINARY, "example", "pair"}).exit_code, 0);
        int code = 0;
        for (const Sample& sample : read_samples(block)) {
            EXPECT_EQ(run_line(sample.command, code), sample.output) << sample.command;
            ++commands;
        }
        fs::current_path("/");
    }
    EXPECT_GE(commands, 10U);
}

}  // namespace
}  // namespace anamnesis::testing
