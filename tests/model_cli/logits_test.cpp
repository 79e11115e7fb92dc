// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

std::string golden(const std::string& model) {
    return std::string(ANAMNESIS_TESTDATA) + "/models/" + model;
}

CommandResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
    return run_command(arguments);
}

std::vector<float> read_values(const std::filesystem::path& path, const std::string& name) {
    const auto file = formats::SafetensorsFile::open(path);
    const formats::TensorInfo* tensor = file.find(name);
    if (tensor == nullptr) {
        ADD_FAILURE() << "no tensor " << name;
        return {};
    }
    std::vector<float> values(tensor->data.size() / sizeof(float));
    file.file().read_at(file.data_begin() + tensor->data.begin(),
                        std::as_writable_bytes(std::span(values)));
    return values;
}

double relative_rms(const std::vector<float>& actual, const std::vector<float>& expected) {
    if (actual.size() != expected.size() || expected.empty()) {
        return INFINITY;
    }
    double error = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        error += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
        size += std::pow(static_cast<double>(expected[i]), 2);
    }
    return std::sqrt(error / size);
}

struct Logits : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         Logits,
                         ::testing::Values("hypenet_base", "jet_base", "qwen3_5_base"),
                         [](const auto& instance) { return instance.param; });

TEST_P(Logits, AgreeWithTheReferenceInEveryForm) {
    const TemporaryFolder folder;
    const std::string expected = golden(GetParam()) + "/expected.safetensors";
    const std::vector<std::vector<std::string>> forms{{},
                                                      {"--chunk", "37"},
                                                      {"--step"},
                                                      {"--dtype", "f64"},
                                                      {"--dtype", "f64", "--chunk", "37"},
                                                      {"--dtype", "f64", "--step"}};
    for (const std::vector<std::string>& form : forms) {
        const std::string out = (folder.path() / "logits.safetensors").string();
        std::vector<std::string> arguments{
            "logits", "--model", golden(GetParam()), "--ids", expected, "--out", out};
        arguments.emplace_back("--hidden-states");
        arguments.insert(arguments.end(), form.begin(), form.end());
        const CommandResult result = run(arguments);
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        for (const std::string name : {"logits", "hidden_states.0", "hidden_states.2"}) {
            EXPECT_LE(relative_rms(read_values(out, name), read_values(expected, name)), 1e-5)
                << name;
        }
    }
}

TEST(LogitsFindings, SayInJsonWhatOfTheFilesIsNotUsed) {
    const TemporaryFolder folder;
    const std::filesystem::path source = golden("falcon_h1_odd");
    Json config = Json::parse_python(io::read_text(source / "config.json"));
    config.set("mlp_bias", false);
    folder.write("config.json", config.dump());
    std::filesystem::copy(source / "model.safetensors", folder.path() / "model.safetensors");
    const auto find_codes = [&](const std::filesystem::path& model) {
        const CommandResult result = run({"logits",
                                          "--model",
                                          model.string(),
                                          "--ids",
                                          (source / "expected.safetensors").string(),
                                          "--out",
                                          (folder.path() / "logits.safetensors").string(),
                                          "--json"});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        std::vector<std::string> codes;
        const Json json = Json::parse(result.output);
        for (const Json& finding : json.at("findings").as_array("findings")) {
            codes.push_back(finding.at("code").as_string("code"));
        }
        return codes;
    };
    const std::vector<std::string> unused{"unused_tensors"};
    EXPECT_EQ(find_codes(folder.path()), unused);
}

TEST(LogitsErrors, NameWhatIsWrong) {
    const TemporaryFolder folder;
    const std::string model = golden("qwen3_base");
    const std::string out = (folder.path() / "out.safetensors").string();
    const auto ask = [&](const std::string& ids) {
        return run({"logits", "--model", model, "--ids", ids, "--out", out});
    };
    const CommandResult absent = ask((folder.path() / "absent").string());
    EXPECT_EQ(absent.exit_code, 3);
    const CommandResult without_ids = ask(model + "/model.safetensors");
    EXPECT_EQ(without_ids.exit_code, 3);
    EXPECT_NE(without_ids.errors.find("input_ids"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(LogitsErrors, AnInputIsNotReplaced) {
    const TemporaryFolder folder;
    const std::filesystem::path model = folder.path() / "model";
    std::filesystem::copy(golden("hypenet_base"), model);
    const std::filesystem::path ids = folder.path() / "ids.safetensors";
    std::filesystem::rename(model / "expected.safetensors", ids);
    const std::filesystem::path link = folder.path() / "link";
    std::filesystem::create_directory_symlink(model, link);
    const auto before = snapshot(folder.path());
    const auto ask = [&](const std::filesystem::path& out) {
        return run(
            {"logits", "--model", model.string(), "--ids", ids.string(), "--out", out.string()});
    };
    for (const std::filesystem::path& out :
         {ids, model / "config.json", link / "model.safetensors"}) {
        const CommandResult refused = ask(out);
        EXPECT_EQ(refused.exit_code, 2) << out;
        EXPECT_NE(refused.errors.find("would replace an input"), std::string::npos);
    }
    EXPECT_EQ(snapshot(folder.path()), before);
    const std::filesystem::path out = folder.path() / "out.safetensors";
    EXPECT_EQ(ask(out).exit_code, 0);
    EXPECT_EQ(ask(out).exit_code, 0);
}

TEST(GenerateErrors, AskForATokenizerByName) {
    const CommandResult result =
        run({"generate", "--model", golden("qwen3_base"), "--prompt", "needle"});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_NE(result.errors.find("tokenizer.json"), std::string::npos);
}

TEST(GenerateErrors, AskForAnotherTokenizerWhereThatOfTheFolderIsNotKnown) {
    // A vocabulary in tiktoken's form says nothing of how texts are cut; token ids need no cut.
    const TemporaryFolder folder;
    const std::filesystem::path model = folder.path() / "model";
    std::filesystem::copy(golden("olmo_hybrid_base"), model);
    folder.write(std::filesystem::path("model") / "tiktoken.model", "IQ== 0\nIg== 1\nIw== 2\n");
    const CommandResult logits = run({"logits",
                                      "--model",
                                      model.string(),
                                      "--ids",
                                      golden("olmo_hybrid_base") + "/expected.safetensors",
                                      "--out",
                                      (folder.path() / "logits.safetensors").string()});
    EXPECT_EQ(logits.exit_code, 0) << logits.errors;
    const CommandResult text = run({"generate", "--model", model.string(), "--prompt", "needle"});
    EXPECT_EQ(text.exit_code, 5);
    EXPECT_NE(text.errors.find("olmo_hybrid"), std::string::npos) << text.errors;
}

TEST(GenerateErrors, RefuseADeviceThatIsNotKnown) {
    const CommandResult result = run(
        {"generate", "--model", golden("qwen3_base"), "--prompt", "needle", "--device", "abacus"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.errors.find("abacus"), std::string::npos);
}

TEST(GenerateErrors, SayThatThereIsNoCudaDevice) {
    const CommandResult result = run(
        {"generate", "--model", golden("qwen3_base"), "--prompt", "needle", "--device", "cuda"});
    if (result.exit_code == 3) {
        GTEST_SKIP() << "there is one";
    }
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_NE(result.errors.find("CUDA"), std::string::npos);
}

TEST(GenerateErrors, SayHowToGetTheProgramThatRunsModels) {
    const TemporaryFolder folder;
    const std::filesystem::path alone = folder.path() / "bin" / "anamnesis";
    std::filesystem::create_directories(alone.parent_path());
    std::filesystem::copy_file(ANAMNESIS_BINARY, alone);
    const CommandResult result =
        run_command({alone.string(), "generate", "--model", "x", "--prompt", "y"});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_NE(result.errors.find("anamnesis-torch"), std::string::npos);
}

}  // namespace
}  // namespace anamnesis::testing
