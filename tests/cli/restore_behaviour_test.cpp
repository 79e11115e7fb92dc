// SPDX-License-Identifier: Apache-2.0
//
// What restore, verify and apply refuse and write, beyond the bytes of rows.
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

TEST_F(Behaviour, SaysThatRowsOfPreAreNoNumbers) {
    use("llama");
    const fs::path weights = pre_ / "model.safetensors";
    const std::string name = "model.layers.1.self_attn.k_proj.weight";
    const checkpoint::TensorEntry tensor = checkpoint::Checkpoint::open(pre_).at(name);
    const std::vector<std::byte> ones(tensor.row_bytes(), std::byte{0xFF});
    io::File::open_for_update(weights).write_at(tensor.offset, ones);
    const auto run = [&](const std::vector<std::string>& destination) {
        CommandResult result = restore(destination);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return result;
    };
    const std::string sentence =
        format("{} values of the repaired rows are NaN or infinite ('{}')", tensor.columns(), name);
    EXPECT_THAT(run({"--out", out_.string()}).errors, HasSubstr("warning: " + sentence));
    const CommandResult refused =
        restore({"--out", (folder_.path() / "strict").string(), "--strict"});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("was written, but --strict"));
    const Json json =
        Json::parse(run({"--out", (folder_.path() / "again").string(), "--json"}).output);
    ASSERT_FALSE(json.at("findings").as_array("findings").empty());
    const Json& found = json.at("findings").as_array("findings").back();
    EXPECT_EQ(found.at("code").as_string("code"), "non_finite");
    EXPECT_EQ(found.at("where").as_string("where"), "repaired");
    // NaN in post's own rows goes with the repair.
    fs::copy_file(fs::path(ANAMNESIS_TESTDATA) / "surgery/llama/pre/model.safetensors",
                  weights,
                  fs::copy_options::overwrite_existing);
    const checkpoint::TensorEntry damaged = checkpoint::Checkpoint::open(post_).at(name);
    io::File::open_for_update(post_ / "model.safetensors").write_at(damaged.offset, ones);
    const CommandResult repaired = run({"--in-place"});
    EXPECT_THAT(repaired.output + repaired.errors, Not(HasSubstr("NaN")));
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
                      HasSubstr("rows from pre"),
                      HasSubstr("nothing was written")));
    EXPECT_THAT(restore({"--dry-run", "--method", "pro"}).output,
                AllOf(HasSubstr("rows that change"), Not(HasSubstr("rows from pre"))));
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
        {{"--groups", "all,q"}, "'all' stands for every group: give it alone"},
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

}  // namespace
}  // namespace anamnesis::testing
