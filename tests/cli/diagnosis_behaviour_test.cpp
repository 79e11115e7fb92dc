// SPDX-License-Identifier: Apache-2.0
//
// drift, inspect, the help and the example through the real binary.
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
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
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/file.hpp"

#include "behaviour.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

using ::testing::Not;

TEST_F(Behaviour, SuspectsSwappedSources) {
    use("llama");
    // The base of one fine-tune may be the result of another: a trainer's files alone say nothing.
    std::ofstream(pre_ / "trainer_state.json") << "{}";
    EXPECT_EQ(restore({"--out", (folder_.path() / "first").string()}).exit_code, 0);
    Json config = Json::parse(read_file(pre_ / "config.json"));
    config.set("_name_or_path", post_.string());
    std::ofstream(pre_ / "config.json") << config.dump(2);
    const auto refused = restore({"--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, AllOf(HasSubstr("look swapped"), HasSubstr("--allow swapped")));
    EXPECT_EQ(restore({"--out", out_.string(), "--allow", "swapped"}).exit_code, 0);
}

TEST_F(Behaviour, NamesTheSoftmaxLayersWhenALinearOneIsAskedFor) {
    use("qwen3_next");
    const auto refused = restore({"--out", out_.string(), "--layers", "0"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, AllOf(HasSubstr("layer 0"), HasSubstr("softmax layers are 3")));
    EXPECT_THAT(restore({"--out", out_.string(), "--layers", "9"}).errors, HasSubstr("layers 0-3"));
    EXPECT_THAT(restore({"--out", out_.string(), "--heads", "2"}).errors, HasSubstr("heads 0-1"));
}

TEST_F(Behaviour, ListsEveryDisagreementAtOnceAndNamesTheOverride) {
    use("llama");
    edit(pre_ / "config.json", R"("rope_theta": 10000.0)", R"("rope_theta": 500000.0)");
    const auto refused = restore({"--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors,
                AllOf(HasSubstr("rope_theta is 500000 in pre and 10000 in post"),
                      HasSubstr("--allow position")));
    EXPECT_EQ(restore({"--out", out_.string(), "--allow", "position"}).exit_code, 0);

    pre_ = fs::path(ANAMNESIS_TESTDATA) / "surgery" / "qwen3" / "pre";
    const auto other = restore({"--out", (folder_.path() / "other").string()});
    EXPECT_EQ(other.exit_code, 6);
    EXPECT_THAT(other.errors,
                AllOf(HasSubstr("the family is qwen3 in pre and llama in post"),
                      HasSubstr("head"),
                      HasSubstr("rope_theta is 1000000 in pre and 10000 in post"),
                      HasSubstr("layers")));
}

TEST_F(Behaviour, TellsHowToServeAnUnknownFamily) {
    use("llama");
    edit(post_ / "config.json", R"("model_type": "llama")", R"("model_type": "lama7")");
    const auto refused = restore({"--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 5);
    EXPECT_THAT(
        refused.errors,
        AllOf(HasSubstr("lama7"), HasSubstr("--routing"), HasSubstr("docs/routing-file.md")));
}

TEST_F(Behaviour, TellsTheFamilyOfAFileWithoutConfigFromItsNames) {
    use("qwen3");
    for (const char* side : {"pre", "post"}) {
        fs::create_directories(folder_.path() / "bare" / side);
        fs::copy(folder_.path() / side / "model.safetensors",
                 folder_.path() / "bare" / side / "weights.safetensors");
    }
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    pre_ = folder_.path() / "bare" / "pre" / "weights.safetensors";
    post_ = folder_.path() / "bare" / "post" / "weights.safetensors";
    const fs::path file = folder_.path() / "repaired.safetensors";
    const auto result = restore({"--out", file.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("told from names and shapes"));
    EXPECT_EQ(read_file(file), read_file(out_ / "model.safetensors"));
}

TEST_F(Behaviour, IsSilentWhenQuietButForJsonAndErrors) {
    use("llama");
    const std::vector<std::vector<std::string>> commands{
        {"inspect", pre_.string()},
        {"doctor", pre_.string(), post_.string()},
        {"drift", "--pre", pre_.string(), "--post", post_.string()}};
    for (std::vector<std::string> words : commands) {
        EXPECT_NE(command(words).output, "") << words[0];
        words.emplace_back("--quiet");
        const CommandResult quiet = command(words);
        EXPECT_EQ(quiet.exit_code, 0) << words[0];
        EXPECT_EQ(quiet.output + quiet.errors, "") << words[0];
        words.emplace_back("--json");
        EXPECT_TRUE(Json::parse(command(words).output).is_object()) << words[0];
    }
    fs::resize_file(post_ / "model.safetensors", fs::file_size(post_ / "model.safetensors") - 8);
    EXPECT_NE(command({"doctor", post_.string(), "--quiet"}).errors, "");
}

TEST_F(Behaviour, DriftAgreesWithTheReferenceAndWritesAPage) {
    for (const char* family : {"llama", "jamba", "qwen3"}) {
        const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "surgery" / family;
        const fs::path page = folder_.path() / (std::string(family) + ".html");
        const auto result = command({"drift",
                                     "--json",
                                     "--pre",
                                     (pair / "pre").string(),
                                     "--post",
                                     (pair / "post").string(),
                                     "--html",
                                     page.string()});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const Json found = Json::parse(result.output);
        const Json expected = Json::parse(
            read_file(fs::path(ANAMNESIS_TESTDATA) / "drift" / (std::string(family) + ".json")));
        std::size_t compared = 0;
        for (const Json& tensor : found.at("tensors").as_array("tensors")) {
            const double wanted =
                expected.at("tensors").at(tensor.at("name").as_string("name")).as_double("drift");
            EXPECT_NEAR(tensor.at("drift").as_double("drift"), wanted, 1e-10 * wanted);
            ++compared;
        }
        EXPECT_EQ(compared, expected.at("tensors").as_object("tensors").size());
        std::map<std::pair<std::uint64_t, std::uint64_t>, double> routing;
        for (const Json& group : found.at("heads").as_array("heads")) {
            for (const Json& head : group.at("query_heads").as_array("heads")) {
                routing[{group.at("layer").as_unsigned("layer"),
                         head.at("head").as_unsigned("head")}] =
                    head.at("routing").as_double("routing");
            }
        }
        for (const Json& layer : expected.at("layers").as_array("layers")) {
            const auto& values = layer.at("routing").as_array("routing");
            for (std::size_t head = 0; head < values.size(); ++head) {
                const double wanted = values[head].as_double("routing");
                EXPECT_NEAR((routing[{layer.at("layer").as_unsigned("layer"), head}]),
                            wanted,
                            1e-10 * wanted);
            }
        }
        EXPECT_THAT(read_file(page),
                    AllOf(HasSubstr("<svg"), HasSubstr("Routing drift"), Not(HasSubstr("http"))));
    }
}

TEST_F(Behaviour, DriftLimitAnswersByExitCode) {
    use("llama");
    const std::vector<std::string> drift{
        "drift", "-q", "--pre", pre_.string(), "--post", post_.string(), "--limit"};
    auto above = drift;
    above.emplace_back("0.1");
    auto below = drift;
    below.emplace_back("0.5");
    EXPECT_EQ(command(above).exit_code, 1);
    EXPECT_EQ(command(below).exit_code, 0);
    auto of_nan = drift;
    of_nan.emplace_back("nan");
    EXPECT_EQ(command(of_nan).exit_code, 2);
}

TEST_F(Behaviour, DriftThatCannotBeMeasuredIsNotBelowALimit) {
    use("llama");
    const std::vector<std::string> drift{
        "drift", "--pre", pre_.string(), "--post", post_.string(), "--limit", "100"};
    EXPECT_EQ(command(drift).exit_code, 0);
    const std::string name = "model.layers.1.self_attn.k_proj.weight";
    const checkpoint::TensorEntry tensor = checkpoint::Checkpoint::open(post_).at(name);
    const std::vector<std::byte> ones(4, std::byte{0xFF});
    io::File::open_for_update(post_ / "model.safetensors").write_at(tensor.offset, ones);
    const CommandResult with_nan = command(drift);
    EXPECT_EQ(with_nan.exit_code, 1);
    EXPECT_THAT(with_nan.errors,
                AllOf(HasSubstr("1 values of 1 tensors are NaN or infinite"),
                      HasSubstr("was not measured, or not in all values, in 1 tensors"),
                      HasSubstr("'anamnesis doctor' says which"),
                      Not(HasSubstr("the notes say"))));
}

TEST_F(Behaviour, DriftOfRowsThatHaveNoCounterpartIsNotBelowALimit) {
    use("llama");
    edit(pre_ / "model.safetensors", "layers.1.self_attn.k_proj", "layers.1.self_attn.K_proj");
    const CommandResult result = command(
        {"drift", "--pre", pre_.string(), "--post", post_.string(), "--limit", "100", "--json"});
    if (result.exit_code == 1) {
        EXPECT_THAT(result.output, HasSubstr("routing_not_measured"));
    } else {
        EXPECT_THAT(result.errors, HasSubstr("layers.1.self_attn.k_proj"));
    }
    EXPECT_NE(result.exit_code, 0);
}

TEST_F(Behaviour, InspectWarnsOfALostShardsLayers) {
    use("llama");
    edit(post_ / "config.json", R"("num_hidden_layers": 2)", R"("num_hidden_layers": 3)");
    const auto result = command({"inspect", post_.string()});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("error: "));
    EXPECT_EQ(restore({"--out", out_.string()}).exit_code, 6);
}

TEST_F(Behaviour, HelpNamesEveryVerb) {
    const auto help = command({"--help"});
    EXPECT_EQ(help.exit_code, 0);
    for (const char* heading : {"Checkpoint files:", "Models:", "Evaluation:", "Research:"}) {
        EXPECT_THAT(help.output, HasSubstr(heading));
    }
    for (const char* verb : {"generate", "train", "gradients", "demo"}) {
        EXPECT_THAT(help.output, HasSubstr(verb));
    }
    EXPECT_THAT(help.output, HasSubstr("Exit codes: 0 done"));
    for (const char* verb : {"inspect", "drift", "restore", "verify", "undo", "apply", "example"}) {
        EXPECT_THAT(help.output, HasSubstr(verb));
        EXPECT_EQ(command({verb, "--help"}).exit_code, 0);
    }
}

TEST_F(Behaviour, HelpOfAVerbBeginsWithWhatIsRequired) {
    const std::string help = command({"restore", "--help"}).output;
    const auto place = [&](const char* text) { return help.find(text); };
    EXPECT_LT(place("Required:"), place("--pre"));
    EXPECT_LT(place("--post"), place("Where the repair goes"));
    EXPECT_LT(place("Which rows:"), place("Strength of --method pro:"));
    EXPECT_LT(place("Reading checkpoints:"), place("General:"));
    EXPECT_THAT(help, HasSubstr("The share of pre, from 0 to 1. Default: 0.5."));
    for (const std::string& line : split(help, '\n')) {
        EXPECT_LE(line.size(), 102U) << line;
    }
}

TEST_F(Behaviour, AVerbThatNeedsLibTorchSaysWhatToInstall) {
    const auto refused =
        run_command({ANAMNESIS_BINARY, "logits", "--help"},
                    {.environment = {{"ANAMNESIS_LIBEXEC", folder_.path().string()}}});
    if (refused.exit_code == 0) {
        EXPECT_THAT(refused.output, HasSubstr("input_ids"));  // beside this program is the other
    } else {
        EXPECT_EQ(refused.exit_code, 3);
        EXPECT_THAT(refused.errors, AllOf(HasSubstr("anamnesis-torch"), HasSubstr("install")));
    }
}

TEST_F(Behaviour, TheExampleRunsFromEndToEnd) {
    const fs::path pair = folder_.path() / "pair";
    ASSERT_EQ(command({"example", pair.string()}).exit_code, 0);
    pre_ = pair / "pre";
    post_ = pair / "post";
    EXPECT_THAT(command({"inspect", post_.string()}).output, HasSubstr("..S..S.."));
    EXPECT_THAT(command({"drift", "--pre", pre_.string(), "--post", post_.string()}).output,
                HasSubstr("times as far as the rest"));
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    const auto verified = command(
        {"verify", "--pre", pre_.string(), "--post", post_.string(), "--repaired", out_.string()});
    EXPECT_THAT(verified.output, HasSubstr("proven:"));
}

}  // namespace
}  // namespace anamnesis::testing
