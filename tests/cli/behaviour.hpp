// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {

namespace fs = std::filesystem;

class Behaviour : public ::testing::Test {
protected:
    /// Copies of a golden pair that a test may change.
    void use(const std::string& family) {
        for (const char* side : {"pre", "post"}) {
            fs::copy(fs::path(ANAMNESIS_TESTDATA) / "surgery" / family / side,
                     folder_.path() / side,
                     fs::copy_options::recursive);
        }
    }
    static CommandResult command(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments);
    }
    CommandResult restore(const std::vector<std::string>& options) {
        std::vector<std::string> arguments{
            "restore", "--pre", pre_.string(), "--post", post_.string()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return command(arguments);
    }
    void edit(const fs::path& file, const std::string& from, const std::string& to) {
        std::string text = read_file(file);
        const auto at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
        std::ofstream(file, std::ios::binary) << text;
    }

    TemporaryFolder folder_;
    fs::path pre_ = folder_.path() / "pre";
    fs::path post_ = folder_.path() / "post";
    fs::path out_ = folder_.path() / "out";
};

}  // namespace anamnesis::testing
