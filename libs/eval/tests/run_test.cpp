// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/run.hpp"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/scripted_model.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::eval {
namespace {

using anamnesis::testing::TemporaryFolder;
using ::testing::HasSubstr;

NextItem items(std::size_t count) {
    auto next = std::make_shared<std::size_t>(0);
    return [next, count]() -> std::optional<Item> {
        if (*next == count) {
            return std::nullopt;
        }
        const std::string id = "q" + std::to_string((*next)++);
        return Item{.question = {.id = id, .input = "say " + id},
                    .judge = [](const Answer& answer) {
                        return Json(Json::Object{{"text", answer.text}});
                    }};
    };
}

const Json settings = Json::Object{{"seed", 42}, {"tasks", Json::Array{"s1"}}};

RunProgress run(const std::filesystem::path& folder,
                std::size_t count,
                Shard shard = {},
                const std::string& checkpoint = "pre") {
    language::ScriptedModel model(
        [](std::string_view prompt) { return std::string(prompt.substr(4)); });
    EmbeddedBackEnd back_end(model, {});
    RunFolder run_folder = RunFolder::open(folder, settings, shard);
    run_folder.describe(checkpoint, Json::object());
    return run_items(
        back_end,
        checkpoint,
        items(count),
        run_folder,
        shard,
        {.on_result = [](const Json&, bool) {}, .on_failure = [](const std::string&) {}},
        {});
}

std::multiset<std::string> ids_in(const std::filesystem::path& folder) {
    std::multiset<std::string> ids;
    for (const Json& line : read_run(folder).results) {
        ids.insert(line.at("checkpoint").as_string("checkpoint") + "/" +
                   line.at("id").as_string("id"));
    }
    return ids;
}

TEST(Run, AsksOnlyWhatIsNotAnsweredYet) {
    const TemporaryFolder folder;
    EXPECT_EQ(run(folder.path() / "r", 5).answered, 5U);
    const RunProgress again = run(folder.path() / "r", 8);
    EXPECT_EQ(again.found, 5U);
    EXPECT_EQ(again.answered, 3U);
    EXPECT_EQ(ids_in(folder.path() / "r").size(), 8U);
}

TEST(Run, CutsOffALineThatAKilledProcessLeft) {
    const TemporaryFolder folder;
    run(folder.path() / "r", 4);
    const auto file = folder.path() / "r/results.jsonl";
    std::string text = io::read_text(file);
    for (const std::size_t lost : {1U, 5U, 20U}) {
        std::ofstream(file, std::ios::trunc) << text.substr(0, text.size() - lost);
        const RunProgress progress = run(folder.path() / "r", 4);
        EXPECT_EQ(progress.found, 3U) << lost;
        EXPECT_EQ(progress.answered, 1U) << lost;
        EXPECT_EQ(ids_in(folder.path() / "r").size(), 4U);
    }
}

TEST(Run, DividesItsSamplesAmongShards) {
    const TemporaryFolder folder;
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_LE(run(folder.path() / "r", 10, {.index = i, .count = 3}).answered, 4U);
    }
    const auto ids = ids_in(folder.path() / "r");
    EXPECT_EQ(ids.size(), 10U);
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 10U);
}

TEST(Run, GoesOnWithAnotherNumberOfShards) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "r";
    EXPECT_EQ(run(path, 10, {.index = 0, .count = 2}).answered, 5U);
    EXPECT_EQ(run(path, 10, {.index = 1, .count = 3}).answered, 2U);  // 1 and 7, not 4
    const RunProgress whole = run(path, 10);
    EXPECT_EQ(whole.answered, 3U);
    EXPECT_EQ(whole.found, 7U);
    EXPECT_EQ(run(path, 10, {.index = 1, .count = 2}).answered, 0U);
    EXPECT_EQ(ids_in(path).size(), 10U);
    RunFolder part = RunFolder::open(path, settings, {.index = 4, .count = 5});
    EXPECT_FALSE(part.find_description("pre").is_null());
}

TEST(Run, KeepsCheckpointsApart) {
    const TemporaryFolder folder;
    run(folder.path() / "r", 3, {}, "pre");
    EXPECT_EQ(run(folder.path() / "r", 3, {}, "post").answered, 3U);
    EXPECT_EQ(ids_in(folder.path() / "r").size(), 6U);
}

TEST(Run, RefusesAFolderOfOtherSettings) {
    const TemporaryFolder folder;
    run(folder.path() / "r", 1);
    const Json other = Json::Object{{"seed", 43}, {"tasks", Json::Array{"s1"}}};
    try {
        RunFolder::open(folder.path() / "r", other, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("seed"));
        EXPECT_THAT(error.message(), HasSubstr("43"));
    }
}

TEST(Run, RefusesAnotherCheckpointUnderTheSameName) {
    const TemporaryFolder folder;
    RunFolder run_folder = RunFolder::open(folder.path() / "r", settings, {});
    run_folder.describe("pre", Json::Object{{"digest", "aa"}});
    EXPECT_NO_THROW(run_folder.describe("pre", Json::Object{{"digest", "aa"}}));
    EXPECT_THROW(run_folder.describe("pre", Json::Object{{"digest", "bb"}}), Error);
    EXPECT_NO_THROW(run_folder.expect_same("pre", Json::Object{{"digest", "aa"}}));
    EXPECT_NO_THROW(run_folder.expect_same("other", Json::Object{{"digest", "bb"}}));
    EXPECT_THROW(run_folder.expect_same("pre", Json::Object{{"digest", "bb"}}), Error);
    EXPECT_EQ(run_folder.find_description("pre").dump(), R"({"digest":"aa"})");
    EXPECT_TRUE(run_folder.find_description("other").is_null());
}

TEST(Run, RefusesTheFolderOfACheckpointOfATrainingOrOfAReport) {
    const TemporaryFolder folder;
    const auto weights = folder.write("checkpoint/model.safetensors", "weights");
    const auto record = folder.write("training/run.json", R"({"steps": 3})");
    const auto report = folder.write("demo/report.html", "<html>");
    for (const auto& file : {weights, record, report}) {
        try {
            RunFolder::open(file.parent_path(), settings, {});
            ADD_FAILURE() << file << " was not seen";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
        }
        EXPECT_FALSE(std::filesystem::exists(file.parent_path() / "results.jsonl"));
    }
    EXPECT_EQ(io::read_text(record), R"({"steps": 3})");
    // A run that is there already goes on.
    run(folder.path() / "r", 1);
    folder.write("r/config.json", "{}");
    EXPECT_EQ(run(folder.path() / "r", 2).answered, 1U);
}

TEST(Run, RefusesShardsOfAnotherCheckpointUnderTheSameName) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "r";
    const auto describe = [&](std::size_t index, const char* digest) {
        RunFolder part = RunFolder::open(path, settings, {.index = index, .count = 2});
        part.describe("pre", Json::Object{{"digest", digest}});
    };
    run(path, 4, {.index = 0, .count = 2}, "pre");
    run(path, 4, {.index = 1, .count = 2}, "pre");
    describe(0, "aa");
    EXPECT_NO_THROW(describe(1, "aa"));
    EXPECT_EQ(read_run(path).results.size(), 4U);
    EXPECT_THROW(describe(1, "bb"), Error);

    // Two machines may have written them without seeing each other.
    Json record = Json::parse(io::read_text(path / "run-2-of-2.json"));
    record.set("checkpoints", Json::Object{{"pre", Json::Object{{"digest", "bb"}}}});
    std::ofstream(path / "run-2-of-2.json", std::ios::trunc) << record.dump();
    EXPECT_THROW(read_run(path), Error);
}

TEST(Run, TakesAnAnswerOnceThatPartsGaveAtTheSameTime) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "r";
    run(path, 4, {.index = 0, .count = 2}, "pre");
    run(path, 4, {.index = 1, .count = 2}, "pre");
    const std::string line = io::read_text(path / "results-1-of-2.jsonl");
    std::ofstream(path / "results-2-of-2.jsonl", std::ios::app)
        << line.substr(0, line.find('\n') + 1);
    EXPECT_EQ(read_run(path).results.size(), 4U);
    // No part answers a question twice.
    std::ofstream(path / "results-1-of-2.jsonl", std::ios::app) << line;
    EXPECT_THROW(read_run(path), Error);
}

TEST(Run, RefusesASampleThatWasNotTheSamePromptForAll) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "r";
    run(path, 1, {}, "pre");
    run(path, 1, {}, "post");
    const auto read_with = [&](const char* of_pre, const char* of_post) {
        std::ofstream file(path / "results.jsonl", std::ios::trunc);
        for (const auto& [name, digest] : {std::pair("pre", of_pre), std::pair("post", of_post)}) {
            file << Json(Json::Object{{"checkpoint", name}, {"id", "0"}, {"prompt_sha256", digest}})
                        .dump()
                 << "\n";
        }
        file.close();
        return read_run(path).results.size();
    };
    EXPECT_EQ(read_with("aa", "aa"), 2U);
    EXPECT_THROW(read_with("aa", "bb"), Error);
}

TEST(Run, RefusesResultsThatNoRunGives) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "r";
    run(path, 1, {}, "pre");
    const auto read_with = [&](const std::string& checkpoint, const std::string& score) {
        const auto make_line = [](const std::string& name, int id, const std::string& value) {
            return R"({"checkpoint":")" + name + R"(","id":")" + std::to_string(id) +
                   R"(","score":)" + value + "}\n";
        };
        std::ofstream(path / "results.jsonl", std::ios::trunc)
            << make_line("pre", 0, "1.0") << make_line(checkpoint, 1, score);
        return read_run(path).results.size();
    };
    for (const char* score : {"0", "1", "0.5"}) {
        EXPECT_EQ(read_with("pre", score), 2U) << score;
    }
    for (const auto& [checkpoint, score] : {std::pair("pre", "5.0"),
                                            std::pair("pre", "-1"),
                                            std::pair("pre", "1.0000001"),
                                            std::pair("pre", "null"),
                                            std::pair("pre", "\"1\""),
                                            std::pair("zzz", "1")}) {
        try {
            read_with(checkpoint, score);
            ADD_FAILURE() << checkpoint << " with the score " << score << " was taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            EXPECT_THAT(error.what(), HasSubstr("line 2 of"));
            EXPECT_THAT(error.what(), HasSubstr("results.jsonl"));
        }
    }
}

TEST(Run, RefusesASecondWriter) {
    const TemporaryFolder folder;
    const RunFolder first = RunFolder::open(folder.path() / "r", settings, {});
    try {
        RunFolder::open(folder.path() / "r", settings, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("another process"));
    }
}

TEST(Run, NamesALineThatIsBroken) {
    const TemporaryFolder folder;
    run(folder.path() / "r", 1);
    std::ofstream(folder.path() / "r/results.jsonl", std::ios::app) << "not json\n";
    try {
        RunFolder::open(folder.path() / "r", settings, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_THAT(error.what(), HasSubstr("line 2"));
    }
}

}  // namespace
}  // namespace anamnesis::eval
