// SPDX-License-Identifier: Apache-2.0
//
// The real binary on checkpoints as people have them, after public reports
// (testdata/field/surgery/README.md).
#include <algorithm>
#include <filesystem>
#include <map>
#include <ostream>
#include <string>
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
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path field = fs::path(ANAMNESIS_TESTDATA) / "field" / "surgery";

/// What the command of a case must do.
struct Expectation {
    std::string name;
    int exit_code = 0;
    std::vector<std::string> says{};       ///< on standard output or standard error
    std::vector<std::string> is_silent{};  ///< of these
    std::vector<std::string> options{};    ///< more than the command of the case has
    std::string code{};                    ///< of a finding that the receipt must hold
};

void PrintTo(const Expectation& expected, std::ostream* stream) {
    *stream << expected.name;
}

std::vector<Expectation> list_cases() {
    return {
        {.name = "orig_mod", .says = {"warning: post", "'_orig_mod.'"}, .code = "wrapped_names"},
        {.name = "module_prefix", .says = {"'module.'"}, .code = "wrapped_names"},
        {.name = "base_model_model", .says = {"'base_model.model.'"}, .code = "wrapped_names"},
        {.name = "checkpoint_wrapped",
         .says = {"'_checkpoint_wrapped_module.'"},
         .code = "wrapped_names"},
        {.name = "peft_unmerged",
         .exit_code = 5,
         .says = {"not merged", "lora_A", "base_layer", "merge_and_unload"},
         .is_silent = {"none of its", "is missing"}},
        {.name = "fp8_scale_lost",
         .exit_code = 6,
         .says = {"'model.layers.1.self_attn.q_proj.weight_scale' is in pre and not in post"}},
        {.name = "fp8_raw_post",
         .exit_code = 6,
         .says = {"'model.layers.0.self_attn.q_proj.weight_scale'", "not in post"}},
        {.name = "fp8_drift",
         .says = {"0.0814  0.0699", "0.0777  0.0809"},
         .is_silent = {"weight_scale", "note:"}},
        {.name = "norm_lost", .says = {"'model.norm.weight'"}, .code = "missing_in_post"},
        {.name = "tensors_lost",
         .says = {"'model.layers.1.mlp.down_proj.weight'", "'model.layers.2.linear_attn.A_log'"},
         .code = "missing_in_post"},
        {.name = "zero3_empty",
         .says = {"7 tensors are empty", "'model.embed_tokens.weight'"},
         .code = "empty_tensors"},
        {.name = "stale_index", .says = {"both 'model.safetensors' and"}, .code = "stale_index"},
        {.name = "rope_int_float"},
        {.name = "rope_default_factor"},
        {.name = "lfs_pointer",
         .exit_code = 4,
         .says = {"Git LFS pointer", "4976698672 bytes", "git lfs pull"},
         .is_silent = {"2336927755350992246"}},
        {.name = "index_phantom", .says = {"'mtp.fc.weight'"}, .code = "index_without_tensor"},
        {.name = "triple_language_model",
         .says = {"model.language_model.language_model.language_model.…", "pre's model.…"},
         .code = "nested_prefix"},
        {.name = "saved_twice_mlp",
         .says = {"warning", "stored twice", "layers.0.mlp.down_proj.weight"}},
        {.name = "quantization_leftover",
         .says = {"quantization_config bitsandbytes", "BF16"},
         .code = "quantization_leftover"},
        {.name = "no_config",
         .exit_code = 6,
         .says = {"post has no config.json", "--config pre/config.json"},
         .is_silent = {"none in post"}},
        {.name = "trainer_root",
         .exit_code = 3,
         .says = {"post/checkpoint-100, post/checkpoint-200"}},
        {.name = "equal", .says = {"nothing moved"}, .is_silent = {"infinitely"}},
        {.name = "note_flood", .says = {"layers.0-3.mlp.experts.0-7.gate_proj.weight"}},
        {.name = "rotary_order",
         .exit_code = 6,
         .says = {"another order of rotary pairs", "--allow rotary"}},
        {.name = "rotary_order",
         .says = {"another order of rotary pairs"},
         .options = {"--allow", "rotary"},
         .code = "rotary_order"},
        {.name = "unrelated_pre", .exit_code = 6, .says = {"are unrelated", "--allow unrelated"}},
        {.name = "unrelated_pre",
         .says = {"are unrelated"},
         .options = {"--allow", "unrelated"},
         .code = "unrelated_pre"},
        {.name = "adapter_as_model",
         .exit_code = 5,
         .says = {"LoRA adapter", "adapter_config.json is there", "merge"}},
        {.name = "shared_block_twice"},
        {.name = "bin_index_left", .says = {"pytorch_model.bin.index.json"}},
        {.name = "json_warnings", .says = {"lm_head"}, .code = "missing_head"},
        {.name = "fp8_pre_bf16_post", .says = {"dequantised"}, .code = "dequantised_rows"},
    };
}

class FieldCase : public ::testing::TestWithParam<Expectation> {
protected:
    void SetUp() override {
        const fs::path source = field / GetParam().name;
        for (const char* side : {"pre", "post"}) {
            if (fs::exists(source / side)) {
                fs::copy(source / side, folder_.path() / side, fs::copy_options::recursive);
            }
        }
        case_ = Json::parse(read_file(source / "case.json"));
        fs::current_path(folder_.path());
    }
    void TearDown() override { fs::current_path("/"); }

    /// The command of the case; `verb` in the place of its own.
    CommandResult run(const std::string& verb = {}) const {
        std::vector<std::string> words = split(case_.at("command").as_string("command"), ' ');
        words.front() = ANAMNESIS_BINARY;
        if (!verb.empty()) {
            words = {ANAMNESIS_BINARY, verb, "--pre", "pre", "--post", "post"};
        } else {
            words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
        }
        return run_command(words);
    }

    bool is_repair() const {
        return case_.at("command").as_string("command").find(" restore ") != std::string::npos;
    }

    std::map<std::string, std::string> required_digests() const {
        std::map<std::string, std::string> digests;
        if (const Json* tensors = case_.find("tensors_sha256");
            tensors != nullptr && tensors->is_object()) {
            for (const auto& [name, digest] : tensors->as_object("tensors_sha256")) {
                digests[name] = digest.as_string("digest");
            }
        }
        return digests;
    }

    TemporaryFolder folder_;
    Json case_;
};

TEST_P(FieldCase, EndsAsItMust) {
    const auto before = snapshot(folder_.path());
    const CommandResult result = run();
    EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.errors << result.output;
    for (const std::string& text : GetParam().says) {
        EXPECT_THAT(result.output + result.errors, HasSubstr(text));
    }
    for (const std::string& text : GetParam().is_silent) {
        EXPECT_THAT(result.output + result.errors, Not(HasSubstr(text)));
    }
    if (result.exit_code != 0) {
        EXPECT_EQ(snapshot(folder_.path()), before) << "a refusal leaves nothing";
        // One line, and what was being done.
        EXPECT_LT(std::ranges::count(result.errors, '\n'), 8) << result.errors;
    }
}

TEST_P(FieldCase, WritesTheTensorsThatItMustAndVerifiesThem) {
    if (GetParam().exit_code != 0 || !is_repair()) {
        GTEST_SKIP() << "the case is refused or no repair; what it must say is tested above";
    }
    ASSERT_EQ(run().exit_code, 0);
    if (!required_digests().empty()) {
        EXPECT_EQ(tensor_digests("out"), required_digests());
    }

    const Json receipt = Json::parse(read_file("out/anamnesis.json"));
    std::vector<std::string> codes;
    for (const Json& finding : receipt.at("findings").as_array("findings")) {
        codes.push_back(finding.at("code").as_string("code"));
    }
    if (!GetParam().code.empty()) {
        EXPECT_THAT(codes, ::testing::Contains(GetParam().code));
    }
    const CommandResult verified = run_command(
        {ANAMNESIS_BINARY, "verify", "--pre", "pre", "--post", "post", "--repaired", "out"});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
}

TEST_P(FieldCase, IsToldInJsonAsWell) {
    if (GetParam().exit_code != 0 || GetParam().code.empty() ||
        case_.at("command").as_string("command").ends_with("--json")) {
        GTEST_SKIP()
            << "the case has no finding, or asks for JSON itself; what it must say is tested "
               "above";
    }
    // What restore found of the pair, drift finds as well; what lies in post alone, inspect too.
    for (const std::string& verb : {std::string("drift"), std::string("inspect")}) {
        const std::vector<std::string> words =
            verb == "inspect"
                ? std::vector<std::string>{ANAMNESIS_BINARY, verb, "post", "--json"}
                : std::vector<std::string>{
                      ANAMNESIS_BINARY, verb, "--pre", "pre", "--post", "post", "--json"};
        const CommandResult result = run_command(words);
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const Json json = Json::parse(result.output);
        const auto& findings = json.at("findings").as_array("findings");
        const bool is_found = std::ranges::any_of(findings, [&](const Json& finding) {
            return finding.at("code").as_string("code") == GetParam().code;
        });
        const bool is_of_pair = GetParam().code == "missing_in_post" ||
                                GetParam().code == "unrelated_pre" ||
                                GetParam().code == "rotary_order";
        const bool is_of_plan = GetParam().code == "dequantised_rows";
        EXPECT_EQ(is_found, !is_of_plan && (verb == "drift" || !is_of_pair)) << verb;
        for (const Json& finding : findings) {
            EXPECT_LE(finding.at("examples").as_array("examples").size(), 3U);
        }
    }
}

std::string to_string(const ::testing::TestParamInfo<Expectation>& info) {
    return info.param.name + (info.param.options.empty() ? "" : "_allowed");
}

INSTANTIATE_TEST_SUITE_P(Reports, FieldCase, ::testing::ValuesIn(list_cases()), to_string);

TEST(FieldCases, AllOfTheFolderAreRun) {
    std::vector<std::string> listed;
    for (const Expectation& expected : list_cases()) {
        listed.push_back(expected.name);
    }
    for (const auto& entry : fs::directory_iterator(field)) {
        if (entry.is_directory()) {
            EXPECT_THAT(listed, ::testing::Contains(entry.path().filename().string()));
        }
    }
}

}  // namespace
}  // namespace anamnesis::testing
