// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

CommandResult run_gradients(std::vector<std::string> arguments) {
    std::vector<std::string> all{ANAMNESIS_BINARY, "gradients", "--quiet"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_command(all);
}

/// The largest relative difference; null where nothing was counted.
double difference(const Json& actual, const Json& expected) {
    const Json::Array& ours = actual.as_array("ours");
    const Json::Array& theirs = expected.as_array("theirs");
    double worst = ours.size() == theirs.size() ? 0.0 : INFINITY;
    for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
        const double exact = theirs[i].as_double("value");
        const double error = std::fabs(ours[i].as_double("value") - exact);
        worst = std::max(worst, exact == 0.0 ? error : error / exact);
    }
    return worst;
}

struct GradientsOfRows : ::testing::TestWithParam<std::string> {
    fs::path golden = fs::path(ANAMNESIS_TESTDATA) / "analysis" / GetParam();
    TemporaryFolder folder;

    CommandResult run(const std::string& dtype) const {
        return run_gradients({"--model",
                              (golden / "model").string(),
                              "--rows",
                              (golden / "inputs.safetensors").string(),
                              "--dtype",
                              dtype,
                              "--out",
                              (folder.path() / dtype).string(),
                              "--json"});
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GradientsOfRows,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GradientsOfRows, RefuseWhatBelongsToTexts) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--max-tokens", "16"},
                                                 {"--samples", "1"},
                                                 {"--compare", "x.jsonl"},
                                                 {"--all-text"}}) {
        std::vector<std::string> words{"--model",
                                       (golden / "model").string(),
                                       "--rows",
                                       (golden / "inputs.safetensors").string(),
                                       "--out",
                                       (folder.path() / "out").string()};
        words.insert(words.end(), more.begin(), more.end());
        const CommandResult result = run_gradients(words);
        EXPECT_EQ(result.exit_code, 2) << more.front();
        EXPECT_NE(result.errors.find(more.front()), std::string::npos) << result.errors;
    }
}

TEST_P(GradientsOfRows, AreTheGoldensAtEveryDistance) {
    const Json golden_values = Json::parse(io::read_text(golden / "expected.json", 1U << 24U));
    const Json& expected = golden_values.at("g");
    for (const auto& [dtype, tolerance] :
         {std::pair{std::string("f64"), 1e-10}, std::pair{std::string("f32"), 1e-4}}) {
        const CommandResult result = run(dtype);
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const Json document = Json::parse(result.output);
        const double loss = golden_values.at("loss").as_double("loss");
        EXPECT_NEAR(
            document.at("data").at("inputs").at("loss").as_double("loss"), loss, loss * tolerance);
        const Json& layers = document.at("layers");
        ASSERT_EQ(layers.as_object("layers").size(), expected.as_object("layers").size());
        for (const auto& [layer, values] : expected.as_object("layers")) {
            const Json& ours = layers.at(layer);
            EXPECT_LE(difference(ours.at("g"), values.at("over_heads")), tolerance);
            const Json::Array& heads = values.at("per_head").as_array("heads");
            for (std::size_t head = 0; head < heads.size(); ++head) {
                EXPECT_LE(difference(ours.at("g_per_head").as_array("heads")[head], heads[head]),
                          tolerance);
            }
            EXPECT_EQ(ours.at("count").as_array("count")[90].as_unsigned("pairs"), 12U);
        }
    }
}

TEST_P(GradientsOfRows, GiveTheSameAgainInTheSameFolder) {
    const CommandResult first = run("f64");
    const CommandResult second = run("f64");
    EXPECT_EQ(second.exit_code, 0) << second.errors;
    EXPECT_EQ(first.output, second.output);
}

class GradientsOfData : public ::testing::Test {
protected:
    GradientsOfData() {
        write_tiny_model(folder_, "qwen3_base");
        std::string lines;
        for (int i = 0; i < 6; ++i) {
            const std::string number = std::to_string(i * 37);
            lines += R"({"prompt": "What is )" + number + R"( plus one?", "response": " It is )" +
                     number + R"( and one, which the next number says."})" + "\n";
        }
        data_ = folder_.write("questions.jsonl", lines);
        chats_ = folder_.write(
            "chats.jsonl",
            R"({"id": "a", "messages": [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello, hello."}, {"role": "user", "content": "Again?"}, {"role": "assistant", "content": "Hello again."}]})"
            "\n"
            R"({"id": "b", "messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One two three four five six."}]})"
            "\n");
    }

    CommandResult run(std::vector<std::string> arguments, const std::string& out = "out") {
        std::vector<std::string> all{"--model",
                                     folder_.path().string(),
                                     "--out",
                                     (folder_.path() / out).string(),
                                     "--resamples",
                                     "100",
                                     "--json"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run_gradients(all);
    }

    std::string text_at(const std::string& name) {
        return io::read_text(folder_.path() / name, 1U << 24U);
    }

    TemporaryFolder folder_;
    fs::path data_;
    fs::path chats_;
};

std::uint64_t count_predictions(const CommandResult& result, const std::string& name) {
    return Json::parse(result.output)
        .at("data")
        .at(name)
        .at("predictions")
        .as_unsigned("predictions");
}

TEST_F(GradientsOfData, WriteAPageWithBothDataSetsOnIt) {
    const CommandResult result = run({"--data", data_.string(), "--compare", chats_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    for (const std::string name : {"questions", "chats"}) {
        const Json& data = json.at("data").at(name);
        for (const auto& [layer, values] : data.at("layers").as_object("layers")) {
            const Json::Array& points = values.at("gradient").at("points").as_array("points");
            EXPECT_GT(points[1].at("value").as_double("g"), 0.0);
            const Json& band = values.at("bands").as_array("bands")[0];
            EXPECT_GT(band.at("q").as_double("norm"), 0.0);
            EXPECT_GT(band.at("o").as_double("norm"), 0.0);
        }
        // Either a decay length, or the reason why there is none.
        const Json& fit = data.at("gradient").at("fit");
        EXPECT_NE(fit.find("decay_length") != nullptr, fit.find("reason") != nullptr);
        EXPECT_NE(text_at("out/report.html").find(name), std::string::npos);
    }
    EXPECT_NE(text_at("out/summary.md").find("token embeddings"), std::string::npos);
    EXPECT_EQ(Json::parse(text_at("out/summary.json")), json);
}

TEST_F(GradientsOfData, CountResponsesAloneUnlessAskedForAllText) {
    const std::uint64_t responses = count_predictions(run({"--data", data_.string()}), "questions");
    const CommandResult all = run({"--data", data_.string(), "--all-text"}, "all");
    EXPECT_GT(responses, 0U);
    EXPECT_EQ(count_predictions(all, "questions"),
              Json::parse(all.output).at("data").at("questions").at("tokens").as_unsigned("n") - 6);
    EXPECT_LT(responses, count_predictions(all, "questions"));
    // Both turns of the first chat are learnt, with the tokens that end them.
    const CommandResult chats = run({"--data", chats_.string()}, "chats");
    ASSERT_EQ(chats.exit_code, 0) << chats.errors;
    const auto lone = folder_.write(
        "lone.jsonl",
        R"({"prompt": "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\nHello, hello.<|im_end|>\n<|im_start|>user\nAgain?<|im_end|>\n<|im_start|>assistant\n", "response": "Hello again.<|im_end|>\n"})"
        "\n");
    const CommandResult last = run({"--data", lone.string()}, "lone");
    ASSERT_EQ(last.exit_code, 0) << last.errors;
    const CommandResult first = run({"--data", chats_.string(), "--samples", "1"}, "first");
    EXPECT_GT(count_predictions(first, "chats"), count_predictions(last, "lone"));
    EXPECT_EQ(Json::parse(first.output).at("data").at("chats").at("tokens"),
              Json::parse(last.output).at("data").at("lone").at("tokens"));
}

TEST_F(GradientsOfData, GoOnWhereAnInterruptedRunEnded) {
    const CommandResult whole = run({"--data", data_.string()});
    ASSERT_EQ(whole.exit_code, 0) << whole.errors;
    const fs::path results = folder_.path() / "out/results.jsonl";
    const std::string lines = text_at("out/results.jsonl");
    const std::size_t half = lines.find('\n', lines.size() / 2);
    // Whole lines, and the beginning of one.
    folder_.write("out/results.jsonl", lines.substr(0, half + 20));
    const CommandResult again = run({"--data", data_.string()});
    EXPECT_EQ(again.output, whole.output);
    EXPECT_EQ(text_at("out/results.jsonl"), lines);
    const CommandResult other = run({"--data", data_.string(), "--all-text"});
    EXPECT_EQ(other.exit_code, 6);
    EXPECT_NE(other.errors.find("other settings"), std::string::npos) << other.errors;
}

TEST_F(GradientsOfData, RefuseWhatTheyCannotRead) {
    const auto broken = folder_.write("broken.jsonl", "{\"text\": \"fine\"}\n{\"words\": 1}\n");
    const CommandResult result = run({"--data", broken.string()});
    EXPECT_EQ(result.exit_code, 4);
    EXPECT_NE(result.errors.find("line 2"), std::string::npos) << result.errors;
    EXPECT_NE(result.errors.find("messages"), std::string::npos) << result.errors;
    EXPECT_EQ(run({}).exit_code, 2);
    const CommandResult none = run({"--data", data_.string(), "--samples", "0"});
    EXPECT_EQ(none.exit_code, 2);
    EXPECT_NE(none.errors.find("--samples: the value is 0"), std::string::npos) << none.errors;
    EXPECT_EQ(run({"--rows", "x.safetensors", "--compare", data_.string()}).exit_code, 2);
    EXPECT_EQ(run({"--rows", (folder_.path() / "none.safetensors").string()}).exit_code, 3);
    const auto no_loss = folder_.write("silent.jsonl", "{\"prompt\": \"a\", \"response\": \"\"}\n");
    EXPECT_EQ(run({"--data", no_loss.string()}).exit_code, 6);
}

}  // namespace
}  // namespace anamnesis::testing
