// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {

namespace fs = std::filesystem;

inline const fs::path surgery = fs::path(ANAMNESIS_TESTDATA) / "surgery";

class FieldKinds : public ::testing::Test {
protected:
    void SetUp() override { fs::current_path(folder_.path()); }
    void TearDown() override { fs::current_path("/"); }

    static void use(const std::string& family) {
        for (const char* side : {"pre", "post"}) {
            fs::remove_all(side);
            fs::copy(surgery / family / side, side, fs::copy_options::recursive);
        }
    }
    static CommandResult command(std::vector<std::string> words) {
        words.insert(words.begin(), ANAMNESIS_BINARY);
        return run_command(words);
    }
    static CommandResult restore(const std::vector<std::string>& options = {}) {
        fs::remove_all("out");
        std::vector<std::string> words{"restore", "--pre", "pre", "--post", "post", "--out", "out"};
        words.insert(words.end(), options.begin(), options.end());
        return command(words);
    }
    static CommandResult verify(const std::vector<std::string>& options = {}) {
        std::vector<std::string> words{
            "verify", "--quiet", "--pre", "pre", "--post", "post", "--repaired", "out"};
        words.insert(words.end(), options.begin(), options.end());
        return command(words);
    }
    static void edit_config(const std::string& side, const std::function<void(Json&)>& edit) {
        Json config = Json::parse(read_file(fs::path(side) / "config.json"));
        edit(config);
        std::ofstream(fs::path(side) / "config.json") << config.dump(2);
    }

    TemporaryFolder folder_;
};

}  // namespace anamnesis::testing
