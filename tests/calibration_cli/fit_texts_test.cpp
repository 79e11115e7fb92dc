// SPDX-License-Identifier: Apache-2.0
//
// The texts of restore --method fit: those made with the checkpoint's tokenizer, those that post
// writes, and what is refused.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"

#include "fit_command.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FitTexts : public Fit {
protected:
    /// A tiny model with a tokenizer as post, and pre a little off it.
    void use_pair_with_tokenizer() {
        const TemporaryFolder model;
        write_tiny_model(model, "qwen3_base");
        for (const fs::path& side : {pre_, post_}) {
            fs::copy(model.path(), side, fs::copy_options::recursive);
        }
        disturb(pre_);
    }
};

TEST_F(FitTexts, MakesItsTextsWithTheCheckpointsTokenizer) {
    use_pair_with_tokenizer();
    recall_ = "niah";
    chains_ = "own";
    const fs::path questions = folder_.write(
        "questions.jsonl",
        "{\"prompt\":\"one and two\"}\n{\"question\":\"two and two\"}\n{\"problem\":\"add\"}\n");
    const CommandResult result =
        restore({"--questions", questions.string(), "--out", out_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const Json& calibration = receipt.at("request").at("fit").at("calibration");
    // Three tasks at two lengths, eight samples each.
    EXPECT_EQ(calibration.at("recall").at("texts").as_unsigned("texts"), 48U);
    EXPECT_GE(calibration.at("recall").at("predicted_tokens").as_unsigned("tokens"), 48U);
    EXPECT_GE(calibration.at("chains").at("texts").as_unsigned("texts"), 1U);
    EXPECT_THAT(calibration.at("chains").at("source").as_string("source"),
                HasSubstr("own answers"));
    EXPECT_EQ(verify(out_).exit_code, 0);

    const CommandResult alone = restore({"--out", (folder_.path() / "other").string()});
    EXPECT_EQ(alone.exit_code, 2);
    EXPECT_THAT(alone.errors, HasSubstr("--questions FILE belongs to --calibrate-chains own"));
}

TEST_F(FitTexts, AChainThatPostWritesEndsInTheTokenThatPostEndedItWith) {
    use_pair_with_tokenizer();
    fs::remove(post_ / "chat_template.jinja");
    const std::string question = "one and two";
    const auto ask = [](const std::vector<std::string>& words) {
        const CommandResult result = command(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return Json::parse(result.output);
    };
    Json ids = ask({"tokenize", "--json", "--tokenizer", post_.string(), question}).at("ids");
    const Json written = ask({"generate",
                              "--json",
                              "--ignore-eos",
                              "--max-tokens",
                              "1",
                              "--dtype",
                              "f32",
                              "--model",
                              post_.string(),
                              "--prompt",
                              question});
    const Json end =
        written.at("answers").as_array("answers").front().at("tokens").as_array("tokens").front();
    ASSERT_NE(end.as_unsigned("token"), 0U);
    Json labels = Json::array();
    for (std::size_t i = 0; i < ids.as_array("ids").size(); ++i) {
        labels.push_back(-100);
    }
    ids.push_back(end);
    labels.push_back(end);
    // Every token ends the text, and token 0 is named first.
    Json ends = Json::array();
    for (std::size_t token = 0; token < tiny_vocabulary; ++token) {
        ends.push_back(std::uint64_t{token});
    }
    folder_.write("post/generation_config.json",
                  Json(Json::Object{{"eos_token_id", std::move(ends)}}).dump());
    const fs::path questions =
        folder_.write("questions.jsonl", Json(Json::Object{{"prompt", question}}).dump());
    const fs::path chain = folder_.write(
        "chain.jsonl", Json(Json::Object{{"input_ids", ids}, {"labels", labels}}).dump());
    recall_ = folder_.write("r.jsonl", "{\"input_ids\":[6,4,6,9],\"labels\":[-100,4,6,9]}\n");
    const auto digest_chains = [&](const char* name, std::vector<std::string> more) {
        const fs::path out = folder_.path() / name;
        more.insert(more.end(), {"--out", out.string()});
        const CommandResult result = restore(more);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        const Json receipt = Json::parse(read_file(out / "anamnesis.json"));
        const Json& chains = receipt.at("request").at("fit").at("calibration").at("chains");
        return chains.at("tokens_sha256").as_string("tokens_sha256");
    };
    chains_ = "own";
    const std::string own = digest_chains("own", {"--questions", questions.string()});
    chains_ = chain;
    EXPECT_EQ(own, digest_chains("given", {}));
}

TEST_F(FitTexts, CountsTextsThatTheTokenizerHasNoTokensFor) {
    use_random_pair("qwen3_base");
    recall_ = folder_.write("r.jsonl",
                            "{\"input_ids\":[6,4,5,9],\"labels\":[-100,4,5,9]}\n"
                            "{\"input_ids\":[6,4,7,9],\"labels\":[-100,4,7,9]}\n");
    chains_ = folder_.write("c.jsonl", "{\"input_ids\":[8,9,10],\"labels\":[-100,9,10]}\n");
    folder_.write("post/tokenizer.json",
                  R"({"added_tokens": [], "normalizer": null, "decoder": null,
                      "pre_tokenizer": {"type": "WhitespaceSplit"},
                      "model": {"type": "WordLevel", "unk_token": "<unk>",
                                "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "<unk>": 5}}})");
    const CommandResult result = restore({"--out", out_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("1 of 3 calibration texts hold text"));
    EXPECT_THAT(read_file(out_ / "anamnesis.json"), HasSubstr("\"unknown_tokens\""));
}

TEST_F(FitTexts, RefusesWhatItCannotCalibrate) {
    use_random_pair("qwen3_base");
    const auto expect = [&](const CommandResult& result, int code, const char* text) {
        EXPECT_EQ(result.exit_code, code) << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(text));
        EXPECT_FALSE(fs::exists(out_));
    };
    expect(restore({"--out", out_.string()}, false), 2, "--calibrate-recall");
    expect(restore({"--out", out_.string(), "--mu", "strong"}), 2, "--mu holds 'strong'");
    expect(restore({"--out", out_.string(), "--mu", "-1"}), 2, "--mu");
    expect(restore({"--out", out_.string(), "--groups", "mixer"}), 2, "no row");
    expect(command({"restore",
                    "--pre",
                    pre_.string(),
                    "--post",
                    post_.string(),
                    "--mu",
                    "0.3",
                    "--out",
                    out_.string()}),
           2,
           "belong to --method fit");
    expect(restore({"--out", out_.string(), "--groups", "mlp", "--keys", "centred"}), 2, "--keys");
    expect(restore({"--out", out_.string(), "--moments", out_.string(), "--dtype", "f32"}, false),
           2,
           "--dtype");
    const fs::path chains = std::exchange(chains_, recall_);
    expect(restore({"--out", out_.string()}), 2, "are the same texts");
    chains_ = chains;
    recall_ = folder_.write("foreign.jsonl", "{\"input_ids\":[1,2,900],\"labels\":[-100,2,3]}\n");
    expect(restore({"--out", out_.string()}), 6, "token 900");
    recall_ = folder_.write("empty.jsonl", "");
    expect(restore({"--out", out_.string()}), 6, "empty.jsonl");
    recall_ = folder_.write("silent.jsonl", "{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n");
    expect(restore({"--out", out_.string()}), 6, "silent.jsonl");
    recall_ = folder_.path() / "nowhere.jsonl";
    expect(restore({"--out", out_.string()}), 3, "nowhere.jsonl");
    use_random_pair("qwen3_next_base");
    expect(restore({"--out", out_.string(), "--groups", "mixer"}), 5, "cannot be fitted");
}

}  // namespace
}  // namespace anamnesis::testing
