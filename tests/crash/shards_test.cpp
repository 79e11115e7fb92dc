// SPDX-License-Identifier: Apache-2.0
//
// One repair by several processes of the real binary, one of which is killed.
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using Environment = std::vector<std::pair<std::string, std::string>>;
using ::testing::HasSubstr;

constexpr std::size_t shards = 4;

class Shards : public ::testing::Test {
protected:
    CommandResult restore(const std::string& out,
                          std::vector<std::string> more,
                          const Environment& environment = {}) const {
        std::vector<std::string> arguments{ANAMNESIS_BINARY,
                                           "restore",
                                           "--pre",
                                           pair_.pre.string(),
                                           "--post",
                                           pair_.post.string(),
                                           "--out",
                                           (folder_.path() / out).string(),
                                           "--threads",
                                           "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_command(arguments, {.environment = environment});
    }

    CommandResult restore_shard(std::size_t shard,
                                std::vector<std::string> more = {},
                                const Environment& environment = {}) const {
        more.insert(more.end(), {"--shard", format("{}/{}", shard, shards)});
        return restore("out", std::move(more), environment);
    }

    /// What `restore` without shards makes and says.
    void expect_whole(const std::vector<std::string>& more = {}) const {
        const auto whole = restore("whole", more);
        ASSERT_EQ(whole.exit_code, 0) << whole.errors;
        EXPECT_EQ(tensor_digests(folder_.path() / "out"), tensor_digests(folder_.path() / "whole"));
        auto files = snapshot(folder_.path() / "out");
        auto expected = snapshot(folder_.path() / "whole");
        EXPECT_EQ(read_receipt(files), read_receipt(expected));
        EXPECT_EQ(files, expected);
        EXPECT_FALSE(fs::exists(folder_.path() / ".out.shards"));
        fs::remove_all(folder_.path() / "whole");
    }

    /// Takes it out of the files, and the time out of it.
    static std::string read_receipt(std::map<std::string, std::string>& files) {
        Json receipt = Json::parse(files.at("anamnesis.json"));
        files.erase("anamnesis.json");
        receipt.set("created", Json());
        return receipt.dump(2);
    }

    struct Pair {
        fs::path pre{};
        fs::path post{};
    };

    // Both are in several files, with q_proj and k_proj in different ones.
    Pair pair_{.pre = fs::path(ANAMNESIS_TESTDATA) / "surgery" / "qwen3_next" / "pre",
               .post = fs::path(ANAMNESIS_TESTDATA) / "surgery" / "qwen3_next" / "post"};
    TemporaryFolder folder_;
};

TEST_F(Shards, MakeTogetherWhatOneProcessMakes) {
    const TemporaryFolder pre;
    const TemporaryFolder post;
    const ForgedCheckpoint forged = forged_llama(4);
    forged.write_sharded(pre, 6, 1);
    forged.write_sharded(post, 6, 2);
    const Pair made{.pre = pre.path(), .post = post.path()};
    for (const auto& [pair, more] : std::vector<std::pair<Pair, std::vector<std::string>>>{
             {pair_, {}}, {made, {}}, {made, {"--method", "pro", "--lambda-rel", "0.1"}}}) {
        pair_ = pair;
        std::vector<std::thread> processes;
        std::vector<CommandResult> results(shards);
        for (std::size_t i = 0; i < shards; ++i) {
            processes.emplace_back([&, i] { results[i] = restore_shard(i + 1, more); });
        }
        for (std::thread& process : processes) {
            process.join();
        }
        for (const CommandResult& result : results) {
            EXPECT_EQ(result.exit_code, 0) << result.errors;
        }
        expect_whole(more);
        fs::remove_all(folder_.path() / "out");
    }
}

TEST_F(Shards, GoOnWhereOneWasKilledAtAnyCall) {
    const auto write_others = [&] {
        fs::remove_all(folder_.path() / "out");
        for (const std::size_t shard : {1U, 3U, 4U}) {
            const auto result = restore_shard(shard);
            ASSERT_EQ(result.exit_code, 0) << result.errors;
            EXPECT_THAT(result.output, HasSubstr("is whole"));
        }
    };
    const fs::path count = folder_.path() / "count";
    const Environment preload{{"LD_PRELOAD", ANAMNESIS_FAULT_LIBRARY}};
    write_others();
    Environment counting = preload;
    counting.emplace_back("ANAMNESIS_FAULT_COUNT", count.string());
    ASSERT_EQ(restore_shard(2, {}, counting).exit_code, 0);
    expect_whole();
    const long calls = std::atol(read_file(count).c_str());
    ASSERT_GT(calls, 4);
    for (long at = 1; at <= calls; ++at) {
        SCOPED_TRACE(format("killed at call {} of {}", at, calls));
        write_others();
        Environment killing = preload;
        killing.emplace_back("ANAMNESIS_FAULT_AT", format("{}", at));
        ASSERT_TRUE(restore_shard(2, {}, killing).was_killed);
        if (!fs::exists(folder_.path() / "out")) {
            const auto again = restore_shard(2);
            ASSERT_EQ(again.exit_code, 0) << again.errors;
        }
        EXPECT_EQ(tensor_digests(folder_.path() / "out").size(), tensor_digests(pair_.post).size());
        fs::remove_all(folder_.path() / ".out.shards");
    }
}

TEST_F(Shards, OfAnotherRepairAreRefused) {
    ASSERT_EQ(restore_shard(1).exit_code, 0);
    const auto other = restore_shard(2, {"--heads", "0"});
    EXPECT_EQ(other.exit_code, 6) << other.output;
    EXPECT_THAT(other.errors, HasSubstr("request"));
    const auto divided = restore("out", {"--shard", "2/3"});
    EXPECT_EQ(divided.exit_code, 6) << divided.output;
    EXPECT_THAT(divided.errors, HasSubstr("shards was 4, now 3"));
}

TEST_F(Shards, OfOtherBytesOrNamesAreRefused) {
    ASSERT_EQ(restore_shard(1).exit_code, 0);
    const auto names = restore_shard(2, {"--clean-names"});
    EXPECT_EQ(names.exit_code, 6) << names.output;
    EXPECT_THAT(names.errors, HasSubstr("output"));
    // A fine-tune that was made again, in files of the same sizes at the same place.
    const fs::path post = folder_.path() / "post";
    fs::copy(pair_.post, post);
    pair_.post = post;
    ASSERT_EQ(restore("again", {"--shard", "1/2"}).exit_code, 0);
    for (const auto& entry : fs::directory_iterator(post)) {
        if (entry.path().extension() == ".safetensors") {
            std::string bytes = read_file(entry.path());
            bytes.back() = static_cast<char>(bytes.back() ^ 1);
            bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
            folder_.write(fs::path("post") / entry.path().filename(), bytes);
        }
    }
    const auto other = restore("again", {"--shard", "2/2"});
    EXPECT_EQ(other.exit_code, 6) << other.output;
    EXPECT_THAT(other.errors, HasSubstr("post"));
}

TEST_F(Shards, ArePutTogetherInAnEmptyFolder) {
    fs::create_directory(folder_.path() / "out");
    for (std::size_t shard = 1; shard <= shards; ++shard) {
        ASSERT_EQ(restore_shard(shard).exit_code, 0);
    }
    expect_whole();
}

TEST_F(Shards, AreWrittenOnceAndToldOf) {
    ASSERT_EQ(restore_shard(1).exit_code, 0);
    const auto again = restore_shard(1, {"--json"});
    ASSERT_EQ(again.exit_code, 0) << again.errors;
    const Json told = Json::parse(again.output);
    EXPECT_EQ(told.at("finished").as_unsigned("finished"), 1U);
    EXPECT_EQ(told.at("bytes_written").as_unsigned("bytes_written"), 0U);
}

TEST_F(Shards, NeedAFolderOfFilesAndOneStrength) {
    EXPECT_EQ(restore("out", {"--shard", "0/4"}).exit_code, 2);
    EXPECT_EQ(restore("out", {"--shard", "1"}).exit_code, 2);
    const auto several =
        restore("out", {"--shard", "1/2", "--method", "pro", "--lambda-rel", "0.1,1"});
    EXPECT_EQ(several.exit_code, 2);
    EXPECT_THAT(several.errors, HasSubstr("several strengths"));
    for (const auto& [shard, lambdas] :
         {std::pair("0/4", "1"), std::pair("1", "1"), std::pair("1/2", "0.1,1")}) {
        const std::vector<std::string> plan{
            "--shard", shard, "--method", "pro", "--lambda-rel", lambdas, "--dry-run"};
        EXPECT_EQ(restore("out", plan).exit_code, 2) << shard;
    }
    EXPECT_EQ(restore("out", {"--shard", "1/2", "--dry-run"}).exit_code, 0);
    EXPECT_TRUE(fs::is_empty(folder_.path()));
}

}  // namespace
}  // namespace anamnesis::testing
