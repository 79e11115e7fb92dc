// SPDX-License-Identifier: Apache-2.0
//
// The verb tokenize: texts, ids and chats, and its refusals.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"

#include "chat_templates.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Tokenizing : public ::testing::Test {
protected:
    Tokenizing() {
        fs::copy_file(fs::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2/tokenizer.json",
                      folder_.path() / "tokenizer.json");
        folder_.write("chat_template.jinja", qwen3_template);
    }

    CommandResult tokenize(const std::vector<std::string>& arguments) {
        std::vector<std::string> all{
            ANAMNESIS_BINARY, "tokenize", "--tokenizer", folder_.path().string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run_command(all);
    }

    std::vector<Json> answer(const std::string& lines) {
        const fs::path in = folder_.write("in.jsonl", lines);
        const CommandResult result = tokenize({"--in", in.string(), "--out", out_.string()});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        std::vector<Json> answers;
        std::ifstream file(out_);
        for (std::string text; std::getline(file, text);) {
            answers.push_back(Json::parse(text));
        }
        return answers;
    }

    TemporaryFolder folder_;
    TemporaryFolder results_;
    fs::path out_ = results_.path() / "out.jsonl";
};

TEST_F(Tokenizing, ShowsTheTokensOfAText) {
    const CommandResult text = tokenize({"Hello there", "--json"});
    ASSERT_EQ(text.exit_code, 0) << text.errors;
    const Json tokens = Json::parse(text.output);
    std::string spelled;
    for (const Json& piece : tokens.at("pieces").as_array("pieces")) {
        spelled += piece.as_string("piece");
    }
    EXPECT_EQ(spelled, "HelloĠthere");
    EXPECT_THAT(tokenize({"Hello there"}).output, HasSubstr("\n"));
}

TEST_F(Tokenizing, AnswersEveryLine) {
    const auto lines = answer(R"({"text": "Hi there", "id": 7}
{"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true, "enable_thinking": false}
{"messages": [{"role": "robot", "content": "Hi"}]}
)");
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0].at("id").as_unsigned("id"), 7U);
    const std::string chat =
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    EXPECT_EQ(lines[1].at("text").as_string("text"), chat);
    EXPECT_THAT(lines[2].at("error").as_string("error"), HasSubstr("unknown role robot"));
    Json back = Json::object();
    back.set("ids", lines[1].at("ids"));
    back.set("skip_special", false);
    EXPECT_EQ(answer(back.dump() + "\n")[0].at("text").as_string("text"), chat);
}

TEST_F(Tokenizing, TellsOfBytesThatGetLost) {
    fs::copy_file(
        fs::path(ANAMNESIS_TESTDATA) / "field/tokenizer/bytes_missing_trained/tokenizer.json",
        folder_.path() / "tokenizer.json",
        fs::copy_options::overwrite_existing);
    const CommandResult told = tokenize({"a", "--json"});
    ASSERT_EQ(told.exit_code, 0) << told.errors;
    EXPECT_THAT(told.output, HasSubstr("of the 256 bytes"));
    EXPECT_THAT(tokenize({"a"}).errors, HasSubstr("of the 256 bytes"));
    const CommandResult refused = tokenize({"a\x04z"});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("no token for byte 0x04"));
}

TEST_F(Tokenizing, ReadsModelFilesWhereThereIsNoTokenizerJson) {
    const fs::path models = fs::path(ANAMNESIS_TESTDATA) / "tokenizer/models";
    fs::remove(folder_.path() / "tokenizer.json");
    EXPECT_THAT(tokenize({"a"}).errors, HasSubstr("tokenizer.model"));
    fs::copy_file(models / "sp_llama/tokenizer.model", folder_.path() / "tokenizer.model");
    const std::vector<Json> answers = answer(R"({"text": "the  text", "add_special": true})"
                                             "\n");
    const Json& pieces = answers.at(0).at("pieces");
    EXPECT_EQ(pieces.as_array("pieces").front(), Json("<s>"));
    Json back = Json::object();
    back.set("ids", answers[0].at("ids"));
    EXPECT_EQ(answer(back.dump() + "\n")[0].at("text").as_string("text"), "the  text");
    // By content, not by name.
    fs::copy_file(models / "tiktoken_llama3/tokenizer.model",
                  folder_.path() / "tokenizer.model",
                  fs::copy_options::overwrite_existing);
    const CommandResult unknown = tokenize({"a"});
    EXPECT_EQ(unknown.exit_code, 5) << unknown.errors;
    EXPECT_THAT(unknown.errors, HasSubstr("put a tokenizer.json beside it"));
    fs::copy_file(models / "tiktoken_llama3/tokenizer_config.json",
                  folder_.path() / "tokenizer_config.json");
    EXPECT_THAT(tokenize({"<|eot_id|>", "--json"}).output, HasSubstr("<|eot_id|>"));
}

TEST_F(Tokenizing, RefusesWhatItCannotAnswer) {
    EXPECT_EQ(tokenize({}).exit_code, 2);
    EXPECT_EQ(tokenize({"a", "--in", "b", "--out", "c"}).exit_code, 2);
    const fs::path in = folder_.write("in.jsonl", "{\"text\": \"a\"}\n{\"x\": 1}\n");
    const CommandResult neither = tokenize({"--in", in.string(), "--out", out_.string()});
    EXPECT_EQ(neither.exit_code, 4);
    EXPECT_THAT(neither.errors, HasSubstr("line 2 of"));
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Tokenizing, RefusesAnEmptyText) {
    const CommandResult empty = tokenize({""});
    EXPECT_EQ(empty.exit_code, 2);
    EXPECT_THAT(empty.errors, HasSubstr("TEXT: the value is empty"));
}

TEST_F(Tokenizing, RefusesIdsThatNoTokenHas) {
    // One token more, at an id with a gap before it.
    Json file = Json::parse(read_file(folder_.path() / "tokenizer.json"));
    Json added = file.at("added_tokens");
    added.push_back(Json::Object{{"id", 500},
                                 {"content", "<far>"},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", false}});
    file.set("added_tokens", added);
    folder_.write("tokenizer.json", file.dump());
    EXPECT_EQ(answer("{\"ids\": [500]}\n").at(0).at("text").as_string("text"), "<far>");
    fs::remove(out_);
    for (const auto& [id, why] :
         std::map<std::string, std::string>{{"430", "id 430 is of no token in"},
                                            {"501", "id 501 is outside"},
                                            {"4294967296", "id 4294967296 is outside"}}) {
        const fs::path in = folder_.write("in.jsonl", "{\"ids\": [1, " + id + "]}\n");
        const CommandResult refused = tokenize({"--in", in.string(), "--out", out_.string()});
        EXPECT_EQ(refused.exit_code, 4) << refused.output;
        EXPECT_THAT(refused.errors, HasSubstr(why + " the vocabulary of 501"));
        EXPECT_THAT(refused.errors, HasSubstr("line 1 of"));
        EXPECT_FALSE(fs::exists(out_));
    }
}

TEST_F(Tokenizing, RefusesToReplaceAnInput) {
    const fs::path in = folder_.write("in.jsonl", "{\"text\": \"a\"}\n");
    const auto before = snapshot(folder_.path());
    const fs::path around = folder_.path() / ".." / folder_.path().filename();
    for (const fs::path& target :
         {in, folder_.path() / "tokenizer.json", around / "chat_template.jinja"}) {
        const CommandResult refused = tokenize({"--in", in.string(), "--out", target.string()});
        EXPECT_EQ(refused.exit_code, 2) << target;
        EXPECT_THAT(refused.errors, HasSubstr("would replace an input"));
    }
    EXPECT_EQ(snapshot(folder_.path()), before);
    EXPECT_EQ(tokenize({"--in", in.string(), "--out", out_.string()}).exit_code, 0);
    EXPECT_EQ(tokenize({"--in", in.string(), "--out", out_.string()}).exit_code, 0);
}

}  // namespace
}  // namespace anamnesis::testing
