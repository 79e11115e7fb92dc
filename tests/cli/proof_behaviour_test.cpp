// SPDX-License-Identifier: Apache-2.0
//
// What `verify` must not call proven, and what `doctor` must not call possible.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"

#include "behaviour.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* weights = "model.safetensors";
constexpr const char* query = "model.layers.0.self_attn.q_proj.weight";

class Proof : public Behaviour {
protected:
    CommandResult verify(const fs::path& pre, const fs::path& post, const fs::path& repaired) {
        return command({"verify",
                        "--pre",
                        pre.string(),
                        "--post",
                        post.string(),
                        "--repaired",
                        repaired.string()});
    }

    static void zero(const fs::path& file, const std::string& tensor) {
        std::string bytes = read_file(file);
        std::uint64_t length = 0;
        for (unsigned i = 0; i < 8; ++i) {
            length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
        }
        const Json header = Json::parse(std::string_view(bytes).substr(8, length));
        const auto& offsets = header.at(tensor).at("data_offsets").as_array("data_offsets");
        const std::uint64_t begin = offsets[0].as_unsigned("offset");
        const std::uint64_t size = offsets[1].as_unsigned("offset") - begin;
        bytes.replace(8 + length + begin, size, size, '\0');
        std::ofstream(file, std::ios::binary) << bytes;
    }
};

TEST_F(Proof, FilesAreNotProvenByThemselves) {
    use("llama");
    const fs::path kept = folder_.path() / "kept";
    fs::copy(post_, kept, fs::copy_options::recursive);
    ASSERT_EQ(restore({"--in-place"}).exit_code, 0);
    EXPECT_EQ(verify(pre_, kept, post_).exit_code, 0);
    const CommandResult post = verify(pre_, post_, post_);
    EXPECT_EQ(post.exit_code, 2) << post.output;
    EXPECT_THAT(post.errors,
                AllOf(HasSubstr("post and repaired are the same files"),
                      HasSubstr("a copy of post from before the repair")));
    const CommandResult pre = verify(pre_, kept, pre_);
    EXPECT_EQ(pre.exit_code, 2) << pre.output;
    EXPECT_THAT(pre.errors, HasSubstr("pre and repaired are the same files"));
    // By links and by the name of the file too.
    const fs::path linked = folder_.path() / "linked";
    fs::create_directory(linked);
    fs::copy_file(post_ / "config.json", linked / "config.json");
    fs::create_hard_link(post_ / weights, linked / weights);
    EXPECT_EQ(verify(pre_, linked, post_ / weights).exit_code, 2);
}

TEST_F(Proof, ComputedRowsAreHeldAgainstTheReceipt) {
    use("llama");
    ASSERT_EQ(restore({"--method", "pro", "--out", out_.string()}).exit_code, 0);
    const CommandResult whole = verify(pre_, post_, out_);
    EXPECT_EQ(whole.exit_code, 0) << whole.output;
    EXPECT_THAT(whole.output,
                AllOf(HasSubstr("\nproven: "), HasSubstr("of their tensors in the receipt")));
    zero(out_ / weights, query);
    const CommandResult zeroed = verify(pre_, post_, out_);
    EXPECT_EQ(zeroed.exit_code, 1);
    EXPECT_THAT(zeroed.output,
                AllOf(HasSubstr(query), HasSubstr("SHA-256"), HasSubstr("NOT proven")));
}

TEST_F(Proof, TheDigestsOfAReceiptProveNoOtherClaim) {
    use("llama");
    ASSERT_EQ(restore({"--method", "pro", "--out", out_.string()}).exit_code, 0);
    for (const std::vector<std::string>& claim :
         {std::vector<std::string>{"--method", "fit"},
          std::vector<std::string>{"--method", "pro", "--lambda-rel", "7"}}) {
        std::vector<std::string> words{"verify",
                                       "--pre",
                                       pre_.string(),
                                       "--post",
                                       post_.string(),
                                       "--repaired",
                                       out_.string(),
                                       "--json"};
        words.insert(words.end(), claim.begin(), claim.end());
        const Json json = Json::parse(command(words).output);
        EXPECT_EQ(json.at("claim").as_string("claim"), "the command line");
        EXPECT_GT(json.at("rows_unchecked").as_unsigned("rows"), 0U) << claim.back();
    }
}

TEST_F(Proof, AReceiptOfAnotherVersionIsRefused) {
    use("llama");
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    ASSERT_EQ(verify(pre_, post_, out_).exit_code, 0);
    edit(out_ / "anamnesis.json", R"("anamnesis_receipt": 1)", R"("anamnesis_receipt": 2)");
    const CommandResult result = verify(pre_, post_, out_);
    EXPECT_EQ(result.exit_code, 5) << result.output;
    EXPECT_THAT(result.errors,
                AllOf(HasSubstr("the version of the receipt is 2, expected 1"),
                      HasSubstr("anamnesis.json")));
    // What the command line claims needs no receipt.
    EXPECT_EQ(command({"verify",
                       "--pre",
                       pre_.string(),
                       "--post",
                       post_.string(),
                       "--repaired",
                       out_.string(),
                       "--method",
                       "qk"})
                  .exit_code,
              0);
}

TEST_F(Proof, TheReceiptOfAFileIsThatOfItsFolder) {
    use("llama");
    fs::rename(post_ / weights, post_ / "mine.safetensors");
    const fs::path kept = folder_.path() / "kept";
    fs::copy(post_, kept, fs::copy_options::recursive);
    ASSERT_EQ(command({"restore",
                       "--pre",
                       pre_.string(),
                       "--post",
                       (post_ / "mine.safetensors").string(),
                       "--method",
                       "v",
                       "--in-place"})
                  .exit_code,
              0);
    for (const bool has_undo : {true, false}) {
        const CommandResult result = verify(pre_, kept, post_);
        EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
        EXPECT_THAT(result.output, HasSubstr("with method v of the receipt"));
        EXPECT_EQ(fs::remove(post_ / "mine.safetensors.anamnesis.undo"), has_undo);
    }
}

TEST_F(Proof, ComputedRowsWithoutAReceiptAreNotCalledProven) {
    use("llama");
    ASSERT_EQ(restore({"--method", "pro", "--out", out_.string()}).exit_code, 0);
    fs::remove(out_ / "anamnesis.json");
    const std::vector<std::string> words{"verify",
                                         "--pre",
                                         pre_.string(),
                                         "--post",
                                         post_.string(),
                                         "--repaired",
                                         out_.string(),
                                         "--method",
                                         "pro"};
    const CommandResult result = command(words);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, AllOf(HasSubstr("proven but for "), Not(HasSubstr("\nproven: "))));
    std::vector<std::string> as_json = words;
    as_json.emplace_back("--json");
    const Json json = Json::parse(command(as_json).output);
    EXPECT_EQ(json.at("rows_unchecked").as_unsigned("rows"),
              json.at("rows_computed").as_unsigned("rows"));
    EXPECT_GT(json.at("rows_unchecked").as_unsigned("rows"), 0U);
}

TEST_F(Proof, BlendedRowsAreComputedAgain) {
    for (const char* alpha : {"0.5", "1"}) {
        use("llama");
        ASSERT_EQ(restore({"--method", "lerp", "--alpha", alpha, "--out", out_.string()}).exit_code,
                  0);
        const auto arguments = [&](std::vector<std::string> more) {
            std::vector<std::string> words{"verify",
                                           "--pre",
                                           pre_.string(),
                                           "--post",
                                           post_.string(),
                                           "--repaired",
                                           out_.string(),
                                           "--method",
                                           "lerp",
                                           "--alpha",
                                           alpha};
            words.insert(words.end(), more.begin(), more.end());
            return words;
        };
        // The rows themselves, whatever a receipt says.
        fs::remove(out_ / "anamnesis.json");
        const Json json = Json::parse(command(arguments({"--json"})).output);
        EXPECT_EQ(json.at("rows_recomputed").as_unsigned("rows"),
                  json.at("rows_computed").as_unsigned("rows"));
        EXPECT_EQ(json.at("rows_unchecked").as_unsigned("rows"), 0U);
        zero(out_ / weights, query);
        const CommandResult zeroed = command(arguments({}));
        EXPECT_EQ(zeroed.exit_code, 1) << zeroed.output;
        EXPECT_THAT(zeroed.output, AllOf(HasSubstr(query), HasSubstr("what --method lerp makes")));
        for (const char* side : {"pre", "post", "out"}) {
            fs::remove_all(folder_.path() / side);
        }
    }
}

/// Verdicts of `doctor`, and what `restore` then does.
TEST_F(Proof, DoctorCallsPossibleWhatRestoreDoes) {
    use("llama");
    const auto examine = [&] { return command({"doctor", pre_.string(), post_.string()}); };
    EXPECT_THAT(examine().output, HasSubstr("method qk: possible"));
    for (const fs::path& side : {pre_, post_}) {
        edit(side / "config.json", R"("num_hidden_layers": 2)", R"("num_hidden_layers": 3)");
    }
    EXPECT_EQ(restore({"--out", out_.string()}).exit_code, 6);
    const CommandResult incomplete = examine();
    EXPECT_EQ(incomplete.exit_code, 1);
    EXPECT_THAT(incomplete.output,
                AllOf(HasSubstr("method qk: not possible"),
                      HasSubstr("contradict the family"),
                      Not(HasSubstr("repair with:"))));
    for (const fs::path& side : {pre_, post_}) {
        edit(side / "config.json", R"("num_hidden_layers": 3)", R"("num_hidden_layers": 2)");
    }
    fs::copy_file(pre_ / weights, post_ / weights, fs::copy_options::overwrite_existing);
    EXPECT_EQ(restore({"--out", out_.string()}).exit_code, 6);
    const CommandResult equal = examine();
    EXPECT_THAT(equal.output,
                AllOf(HasSubstr("method qk: not possible: the rows that --method qk takes are the "
                                "same in pre and post"),
                      Not(HasSubstr("repair with:"))));
}

TEST_F(Proof, DoctorDoesNotSayThatAnUnknownArchitectureContradictsItsNames) {
    std::string bytes =
        read_file(fs::path(ANAMNESIS_TESTDATA) / "lora" / "rslora" / "gguf" / "base.gguf");
    for (auto at = bytes.find("qwen3"); at != std::string::npos; at = bytes.find("qwen3")) {
        bytes.replace(at, 5, "qwenX");
    }
    const fs::path pre = folder_.write("pre.gguf", bytes);
    const fs::path post = folder_.write("post.gguf", bytes);
    const CommandResult result = command({"doctor", pre.string(), post.string()});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.output,
                AllOf(HasSubstr("method qk: not possible: pre: which rows are W_Q and W_K is not "
                                "known"),
                      Not(HasSubstr("contradict the family"))));
}

TEST_F(Proof, ChoicesThatAGroupIgnoresAreRefused) {
    use("llama");
    struct Case {
        std::string groups;
        std::string option;
    };
    for (const Case& choice : {Case{.groups = "mlp", .option = "--heads"},
                               Case{.groups = "q,o", .option = "--heads"},
                               Case{.groups = "embedding", .option = "--layers"},
                               Case{.groups = "q,embedding", .option = "--layers"}}) {
        const CommandResult refused =
            restore({"--groups", choice.groups, choice.option, "0", "--out", out_.string()});
        EXPECT_EQ(refused.exit_code, 2) << choice.groups;
        EXPECT_THAT(refused.errors, AllOf(HasSubstr(choice.option), HasSubstr("--groups")));
    }
    EXPECT_EQ(restore({"--groups", "q", "--heads", "0", "--dry-run"}).exit_code, 0);
    EXPECT_EQ(restore({"--groups", "mlp", "--layers", "0", "--dry-run"}).exit_code, 0);
}

TEST_F(Proof, AnOutputGateOfItsOwnHasNoRowsOfHeads) {
    use("hypenet");
    const CommandResult refused = restore({"--groups", "gate", "--heads", "0", "--dry-run"});
    EXPECT_EQ(refused.exit_code, 2) << refused.output;
    EXPECT_THAT(refused.errors, AllOf(HasSubstr("o_gate.weight"), HasSubstr("--heads")));
    EXPECT_EQ(restore({"--groups", "gate", "--dry-run"}).exit_code, 0);
}

TEST_F(Proof, WhatLiesInNoLayerIsInNoneOfThoseThatAreChosen) {
    use("llama");
    ASSERT_EQ(restore({"--groups", "norms", "--layers", "0", "--out", out_.string()}).exit_code, 0);
    const auto made = tensor_digests(out_);
    const auto before = tensor_digests(post_);
    const auto wanted = tensor_digests(pre_);
    EXPECT_EQ(made.at("model.norm.weight"), before.at("model.norm.weight"));
    EXPECT_NE(made.at("model.norm.weight"), wanted.at("model.norm.weight"));
    const std::string norm = "model.layers.0.input_layernorm.weight";
    EXPECT_EQ(made.at(norm), wanted.at(norm));
    EXPECT_EQ(verify(pre_, post_, out_).exit_code, 0);
    fs::remove_all(out_);
    ASSERT_EQ(restore({"--groups", "norms", "--out", out_.string()}).exit_code, 0);
    EXPECT_EQ(tensor_digests(out_).at("model.norm.weight"), wanted.at("model.norm.weight"));
}

TEST_F(Proof, TheNameOfAFileIsNoFolder) {
    use("llama");
    for (const char* name : {"x.gguf", "x.safetensors"}) {
        const fs::path out = folder_.path() / name;
        for (const char* mode : {"-q", "--dry-run"}) {
            const CommandResult refused = restore({"--out", out.string(), mode});
            EXPECT_EQ(refused.exit_code, 2) << name;
            EXPECT_THAT(refused.errors, AllOf(HasSubstr(name), HasSubstr("name a folder")));
        }
        EXPECT_FALSE(fs::exists(out));
    }
}

TEST_F(Proof, ThePrintedUndoIsACommand) {
    use("llama");
    const fs::path spaced = folder_.path() / "my dir";
    fs::rename(post_, spaced);
    post_ = spaced;
    const std::string before = read_file(post_ / weights);
    const CommandResult result = restore({"--in-place"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const auto at = result.output.find("anamnesis undo ");
    ASSERT_NE(at, std::string::npos) << result.output;
    const std::string line = result.output.substr(at, result.output.find('\n', at) - at);
    EXPECT_EQ(
        run_command({"/bin/sh", "-c", ANAMNESIS_BINARY + line.substr(line.find(' '))}).exit_code,
        0);
    EXPECT_EQ(read_file(post_ / weights), before);
}

TEST_F(Proof, SeveritiesReadTheSameInTextAndJson) {
    use("llama");
    edit(post_ / "config.json", R"("num_hidden_layers": 2)", R"("num_hidden_layers": 3)");
    const Json json = Json::parse(command({"inspect", "--json", post_.string()}).output);
    const std::string text = command({"inspect", post_.string()}).output;
    const auto& findings = json.at("findings").as_array("findings");
    ASSERT_FALSE(findings.empty());
    for (const Json& finding : findings) {
        EXPECT_THAT(text,
                    HasSubstr(finding.at("severity").as_string("severity") + ": " +
                              finding.at("sentence").as_string("sentence")));
    }
}

}  // namespace
}  // namespace anamnesis::testing
