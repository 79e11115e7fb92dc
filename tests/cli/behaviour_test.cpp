// SPDX-License-Identifier: Apache-2.0
//
// What a user meets: refusals with every fact, links, copies of small files, dry runs.
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
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(Behaviour, RefusesAScaleBlockSharedByRepairedAndOtherRows) {
    use("fp8_unaligned");
    const auto refused = restore({"--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 5);
    EXPECT_THAT(refused.errors,
                AllOf(HasSubstr("model.layers.1.self_attn.q_proj.weight_scale_inv"),
                      HasSubstr("no byte-exact answer exists")));
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Behaviour, RefusesPreAndPostThatAreOneFolder) {
    use("llama");
    pre_ = post_;
    EXPECT_EQ(restore({"--out", out_.string()}).exit_code, 2);
    pre_ = folder_.path() / "link";
    fs::create_directory_symlink(post_, pre_);
    const auto refused = restore({"--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, HasSubstr("same checkpoint"));
}

TEST_F(Behaviour, RefusesEqualRowsBecauseThereIsNothingToRepair) {
    use("llama");
    fs::remove_all(pre_);
    fs::copy(post_, pre_, fs::copy_options::recursive);
    for (const std::vector<std::string>& destination :
         {std::vector<std::string>{"--out", out_.string()},
          std::vector<std::string>{"--in-place"},
          std::vector<std::string>{"--patch", (folder_.path() / "p.safetensors").string()}}) {
        const auto refused = restore(destination);
        EXPECT_EQ(refused.exit_code, 6);
        EXPECT_THAT(refused.errors, HasSubstr("nothing to repair"));
    }
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_EQ(snapshot(pre_), snapshot(post_));
}

TEST_F(Behaviour, RefusesAnOutputThatIsOrLiesInASource) {
    use("llama");
    const auto before = snapshot(post_);
    const fs::path link = folder_.path() / "link";
    fs::create_directory_symlink(post_, link);
    for (const fs::path& target : {post_, link, post_ / "inside", pre_ / "inside"}) {
        const auto refused = restore({"--out", target.string()});
        EXPECT_EQ(refused.exit_code, 2) << target;
        EXPECT_THAT(refused.errors, HasSubstr("source"));
    }
    EXPECT_EQ(snapshot(post_), before);
}

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

TEST_F(Behaviour, DoesNotRewriteLinkedFilesInPlaceUnlessTold) {
    use("llama");
    const fs::path blob = folder_.path() / "blob";
    fs::rename(post_ / "model.safetensors", blob);
    fs::create_symlink(blob, post_ / "model.safetensors");
    const std::string before = read_file(blob);
    const auto refused = restore({"--in-place"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, AllOf(HasSubstr("symbolic link"), HasSubstr("--allow links")));
    fs::remove(post_ / "model.safetensors");
    fs::create_hard_link(blob, post_ / "model.safetensors");
    EXPECT_THAT(restore({"--in-place"}).errors, HasSubstr("2 hard links"));
    EXPECT_EQ(read_file(blob), before);
    EXPECT_EQ(restore({"--in-place", "--allow", "links"}).exit_code, 0);
    EXPECT_NE(read_file(blob), before);
    EXPECT_EQ(command({"undo", post_.string()}).exit_code, 0);
    EXPECT_EQ(read_file(blob), before);
}

TEST_F(Behaviour, ReadsAHubCacheWhoseFilesAreLinks) {
    use("qwen3_next");
    for (const fs::path& side : {pre_, post_}) {
        const fs::path blobs = side.string() + "-blobs";
        fs::rename(side, blobs);
        fs::create_directories(side);
        for (const auto& file : fs::directory_iterator(blobs)) {
            fs::create_symlink(file.path(), side / file.path().filename());
        }
    }
    ASSERT_EQ(restore({"--out", out_.string(), "--link"}).exit_code, 0);
    for (const auto& file : fs::directory_iterator(out_)) {
        EXPECT_FALSE(file.is_symlink()) << file.path();
    }
}

TEST_F(Behaviour, LinksWhatDoesNotChangeAndCopiesWhatDoes) {
    use("qwen3_5");
    ASSERT_EQ(restore({"--out", out_.string(), "--link"}).exit_code, 0);
    int linked = 0;
    for (const auto& file : fs::directory_iterator(out_)) {
        if (file.path().extension() != ".safetensors") {
            continue;
        }
        struct stat theirs{};
        struct stat ours{};
        ASSERT_EQ(::stat((post_ / file.path().filename()).c_str(), &theirs), 0);
        ASSERT_EQ(::stat(file.path().c_str(), &ours), 0);
        const bool is_same = read_file(file.path()) == read_file(post_ / file.path().filename());
        if (ours.st_ino == theirs.st_ino) {
            ++linked;
            EXPECT_TRUE(is_same);
        }
        if (!is_same) {
            EXPECT_NE(ours.st_ino, theirs.st_ino);
        }
    }
    EXPECT_GT(linked, 0);
}

TEST_F(Behaviour, CopiesSmallFilesAndLeavesOtherWeightsOut) {
    use("llama");
    std::ofstream(post_ / "tokenizer.json") << "{}";
    std::ofstream(post_ / "chat_template.jinja") << "{{ x }}";
    fs::create_directories(post_ / "code");
    std::ofstream(post_ / "code" / "modeling_x.py") << "pass";
    std::ofstream(post_ / "pytorch_model.bin") << "stale";
    fs::create_directories(post_ / "checkpoint-100");
    std::ofstream(post_ / "checkpoint-100" / "trainer_state.json") << "{}";
    std::ofstream(post_ / "README.md") << "# Model\n";
    const auto result = restore({"--out", out_.string(), "--model-card"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(read_file(out_ / "tokenizer.json"), "{}");
    EXPECT_EQ(read_file(out_ / "chat_template.jinja"), "{{ x }}");
    EXPECT_EQ(read_file(out_ / "code" / "modeling_x.py"), "pass");
    EXPECT_FALSE(fs::exists(out_ / "pytorch_model.bin"));
    EXPECT_FALSE(fs::exists(out_ / "checkpoint-100"));
    EXPECT_THAT(result.output, HasSubstr("pytorch_model.bin"));
    EXPECT_THAT(read_file(out_ / "README.md"),
                AllOf(HasSubstr("# Model\n"), HasSubstr("Repaired with Anamnesis")));
    EXPECT_EQ(command({"verify",
                       "--pre",
                       pre_.string(),
                       "--post",
                       post_.string(),
                       "--repaired",
                       out_.string()})
                  .exit_code,
              0);
}

TEST_F(Behaviour, VerifyNamesAChangedConfig) {
    use("llama");
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    edit(out_ / "generation_config.json", "{", "{ ");
    const auto refuted = command(
        {"verify", "--pre", pre_.string(), "--post", post_.string(), "--repaired", out_.string()});
    EXPECT_EQ(refuted.exit_code, 1);
    EXPECT_THAT(refuted.output, HasSubstr("generation_config.json"));
}

TEST_F(Behaviour, DryRunPrintsThePlanAndWritesNothing) {
    use("qwen3_next");
    const auto before = snapshot(folder_.path());
    const auto text = restore({"--out", out_.string(), "--dry-run"});
    EXPECT_EQ(text.exit_code, 0);
    EXPECT_THAT(text.output,
                AllOf(HasSubstr("model.layers.3.self_attn.q_proj.weight"),
                      HasSubstr("0-15,32-47,64-79,96-111"),
                      HasSubstr("nothing was written")));
    const auto json = restore({"--dry-run", "--json"});
    const Json plan = Json::parse(json.output);
    EXPECT_EQ(plan.at("bytes_changed").as_unsigned("bytes"), 6144U);
    EXPECT_EQ(plan.at("changes").as_array("changes").size(), 2U);
    EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_F(Behaviour, RepairsASingleFileIntoAFileOrAFolder) {
    use("llama");
    pre_ /= "model.safetensors";
    post_ /= "model.safetensors";
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    const fs::path file = folder_.path() / "repaired.safetensors";
    const auto result = restore({"--out", file.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(read_file(file), read_file(out_ / "model.safetensors"));
    EXPECT_TRUE(fs::exists(file.string() + ".anamnesis.json"));
    EXPECT_EQ(restore({"--out", file.string()}).exit_code, 2);
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

TEST_F(Behaviour, GroupsRestoreAnySetOfTensors) {
    use("qwen3_next");
    ASSERT_EQ(restore({"--out", out_.string(), "--groups", "mlp,embedding"}).exit_code, 0);
    const auto result = tensor_digests(out_);
    const auto before = tensor_digests(pre_);
    const auto after = tensor_digests(post_);
    for (const auto& [name, digest] : result) {
        const bool is_taken = name.find(".mlp.") != std::string::npos ||
                              name.find("embed_tokens") != std::string::npos;
        EXPECT_EQ(digest, is_taken ? before.at(name) : after.at(name)) << name;
    }
    EXPECT_EQ(command({"verify",
                       "--pre",
                       pre_.string(),
                       "--post",
                       post_.string(),
                       "--repaired",
                       out_.string()})
                  .exit_code,
              0);
}

TEST_F(Behaviour, ANoteIsInTheReceiptAndInThePatch) {
    use("llama");
    ASSERT_EQ(restore({"--out", out_.string(), "--note", "run 7, by Ada"}).exit_code, 0);
    const auto note = [](const fs::path& folder) {
        const auto receipt = Json::parse(read_file(folder / "anamnesis.json"));
        return receipt.at("request").at("note").as_string("note");
    };
    EXPECT_EQ(note(out_), "run 7, by Ada");
    const fs::path patch = folder_.path() / "patch.safetensors";
    ASSERT_EQ(restore({"--patch", patch.string(), "--note", "elsewhere"}).exit_code, 0);
    const fs::path applied = folder_.path() / "applied";
    ASSERT_EQ(command({"apply", patch.string(), "--to", post_.string(), "--out", applied.string()})
                  .exit_code,
              0);
    EXPECT_EQ(note(applied), "elsewhere");
}

TEST_F(Behaviour, GateRowsCanBeRestoredAlone) {
    use("qwen3_next");
    ASSERT_EQ(restore({"--out", out_.string(), "--groups", "gate"}).exit_code, 0);
    const auto receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const Json& tensor = receipt.at("tensors").as_array("tensors").front();
    EXPECT_EQ(tensor.at("name").as_string("name"), "model.layers.3.self_attn.q_proj.weight");
    EXPECT_EQ(tensor.at("rows").dump(), "[[16,32],[48,64],[80,96],[112,128]]");
}

TEST_F(Behaviour, RefusesMixedOrUnknownWords) {
    use("llama");
    const std::map<std::vector<std::string>, std::string> refusals{
        {{"--groups", "q,x"}, "'x' is not a tensor group"},
        {{"--groups", "q", "--method", "v"}, "or takes the place of --method"},
        {{"--lambda-rel", "1"}, "--lambda-rel belongs to --method pro"},
        {{"--lambda", "1", "--method", "lerp"}, "--lambda belongs to --method pro"},
        {{"--metric", "rope"}, "--metric belongs to --method pro"},
        {{"--alpha", "0.3"}, "--alpha belongs to --method lerp"},
        {{"--alpha", "0.3", "--groups", "mlp"}, "--alpha belongs to --method lerp"},
        {{"--method", "qq"}, "--method 'qq' is unknown; there are qk, q, k, v,"},
        {{"--metric", "euclid", "--method", "pro"}, "there are gram, rope, gain"},
        {{"--allow", "heads,tails"}, "--allow 'tails' is unknown"},
        {{"--layers", "1-x"}, "--layers"},
        {{"--methd", "qk"}, "did you mean --method?"},
        {{"--in-place", "--link"}, "--link and --model-card belong to --out"},
        {{"--in-place", "--no-sync"}, "--no-sync belongs to --out"},
    };
    for (const auto& [options, fact] : refusals) {
        std::vector<std::string> all = options;
        if (options.front() != "--in-place") {
            all.insert(all.end(), {"--out", out_.string()});
        }
        const auto refused = restore(all);
        EXPECT_EQ(refused.exit_code, 2) << fact;
        EXPECT_THAT(refused.errors, HasSubstr(fact));
        EXPECT_EQ(std::ranges::count(refused.errors, '\n'), 1) << refused.errors;
    }
    EXPECT_EQ(restore({}).exit_code, 2);
}

TEST_F(Behaviour, AlignIsRefusedWhereQkNormLeavesNoGauge) {
    use("qwen3");
    const auto refused = restore({"--method", "align", "--out", out_.string()});
    EXPECT_EQ(refused.exit_code, 5) << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr("QK-norm"));
}

TEST_F(Behaviour, AlignAndProRepairFamiliesWithoutSpecialValues) {
    for (const char* family : {"llama", "jamba"}) {
        const TemporaryFolder folder;
        const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "surgery" / family;
        for (const char* method : {"align", "pro", "lerp"}) {
            const fs::path out = folder.path() / method;
            const auto result = command({"restore",
                                         "--pre",
                                         (pair / "pre").string(),
                                         "--post",
                                         (pair / "post").string(),
                                         "--method",
                                         method,
                                         "--out",
                                         out.string()});
            EXPECT_EQ(result.exit_code, 0) << family << " " << method << ": " << result.errors;
            EXPECT_EQ(command({"verify",
                               "--pre",
                               (pair / "pre").string(),
                               "--post",
                               (pair / "post").string(),
                               "--repaired",
                               out.string()})
                          .exit_code,
                      0);
        }
    }
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
}

TEST_F(Behaviour, InspectWarnsOfALostShardsLayers) {
    use("llama");
    edit(post_ / "config.json", R"("num_hidden_layers": 2)", R"("num_hidden_layers": 3)");
    const auto result = command({"inspect", post_.string()});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("warning: "));
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
