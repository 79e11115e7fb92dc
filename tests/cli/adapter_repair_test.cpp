// SPDX-License-Identifier: Apache-2.0
//
// LoRA adapters through the real binary: what stays of them, and what is refused.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"

#include "adapters.hpp"
#include "folder_snapshot.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

TEST_F(Adapters, AreHeldAgainstWhatTheirConfigSays) {
    const fs::path root = folder_.path() / "case";
    fs::copy(own_cases / "rslora", root, fs::copy_options::recursive);
    const fs::path config = root / "adapter/adapter_config.json";
    const Json whole = Json::parse(io::read_text(config));
    const auto find_codes = [&](const char* key, const Json& value) {
        Json changed = whole;
        changed.set(key, value);
        io::write_text_atomically(config, changed.dump());
        const CommandResult result = run({"restore",
                                          "--json",
                                          "--dry-run",
                                          "--pre",
                                          (root / "base").string(),
                                          "--post",
                                          (root / "adapter").string(),
                                          "--out",
                                          out("no")});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        std::vector<std::string> codes;
        const Json document = Json::parse(result.output);
        for (const Json& finding : document.at("findings").as_array("findings")) {
            codes.push_back(finding.at("code").as_string("code"));
        }
        return codes;
    };
    using ::testing::Contains;
    using ::testing::IsEmpty;
    EXPECT_THAT(find_codes("r", whole.at("r")), IsEmpty());
    EXPECT_THAT(find_codes("target_modules", Json(Json::Array{"q_proj", "k_proj"})),
                Contains("untargeted_adapter_modules"));
    EXPECT_THAT(find_codes("target_modules", Json("model\\.layers\\.0\\..*")),
                Contains("untargeted_adapter_modules"));
    EXPECT_THAT(find_codes("target_modules", Json(".*")), IsEmpty());
    EXPECT_THAT(find_codes("exclude_modules", Json(Json::Array{"v_proj"})),
                Contains("untargeted_adapter_modules"));
    EXPECT_THAT(find_codes("exclude_modules", Json(Json::Array{"lm_head"})), IsEmpty());
    EXPECT_THAT(find_codes("layers_to_transform", Json(Json::Array{1})),
                Contains("untargeted_adapter_modules"));
    EXPECT_THAT(find_codes("modules_to_save", Json(Json::Array{"lm_head"})),
                Contains("modules_to_save_without_tensors"));

    io::write_text_atomically(config, whole.dump());
    ASSERT_EQ(repair(root, "repaired").exit_code, 0);
    fs::remove_all(root / "adapter");
    fs::copy(out("repaired"), root / "adapter", fs::copy_options::recursive);
    const CommandResult inspected =
        run({"inspect", "--base", (root / "base").string(), (root / "adapter").string()});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
    EXPECT_THAT(inspected.output + inspected.errors,
                HasSubstr("as in an adapter that was repaired"));
}

/// The base is the checkpoint that a GGUF file was made from.
TEST_F(Adapters, OfPeftAreRepairedOverAGgufBase) {
    const fs::path root = own_cases / "rslora";
    const std::string base = (root / "gguf/base.gguf").string();
    const std::string post = (root / "adapter").string();
    const CommandResult result =
        run({"restore", "--pre", base, "--post", post, "--out", out("repaired")});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    ASSERT_EQ(repair(root, "over_safetensors").exit_code, 0);
    const std::string weights = "/adapter_model.safetensors";
    EXPECT_EQ(tensor_digests(out("repaired") + weights),
              tensor_digests(out("over_safetensors") + weights));
    EXPECT_EQ(
        run({"verify", "--pre", base, "--post", post, "--repaired", out("repaired")}).exit_code, 0);
    EXPECT_EQ(run({"inspect", "--base", base, post}).exit_code, 0);
    const CommandResult merged =
        run({"restore", "--pre", base, "--adapter", post, "--out", out("no")});
    EXPECT_EQ(merged.exit_code, 5);
    EXPECT_THAT(merged.errors, HasSubstr("not merged into a GGUF file"));
}

TEST_F(Adapters, OfLlamaCppLoseTheirPairsAndKeepTheirKeys) {
    if (!fs::exists(shared_cases)) {
        GTEST_SKIP() << shared_cases << " is absent; no GGUF adapter is in testdata/lora";
    }
    for (const char* name : {"rslora", "patterns"}) {
        const fs::path root = shared_cases / format("gguf_adapter_{}", name);
        const std::string base = (shared_cases / name / "base").string();
        const std::string post = (root / "adapter.gguf").string();
        const std::string target = out(format("{}.gguf", name));
        const CommandResult result =
            run({"restore", "--pre", base, "--post", post, "--out", target});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const Json expected = Json::parse(io::read_text(root / "expected.json")).at("qk");
        EXPECT_EQ(tensor_digests(target), read_digests(expected.at("kept")));
        const auto opened = checkpoint::Checkpoint::open(target);
        EXPECT_EQ(opened.gguf()->metadata.find_string("general.type"), "adapter");
        EXPECT_TRUE(opened.gguf()->metadata.has("adapter.lora.alpha"));
        EXPECT_EQ(run({"verify", "--pre", base, "--post", post, "--repaired", target}).exit_code,
                  0);
        const std::string copy = out(format("{}-copy.gguf", name));
        fs::copy_file(post, copy);
        EXPECT_EQ(run({"verify", "--pre", base, "--post", post, "--repaired", copy}).exit_code, 1);
        EXPECT_EQ(run({"restore", "--pre", base, "--adapter", post, "--out", out("no")}).exit_code,
                  5);
        EXPECT_EQ(run({"inspect", post, "--base", base}).exit_code, 0);
    }
}

TEST_F(Adapters, OfTheFirstSetFollowMethodAndSwitches) {
    if (!fs::exists(shared_cases)) {
        GTEST_SKIP() << shared_cases << " is absent; the cases of testdata/lora are tested";
    }
    const Json cases = Json::parse(io::read_text(shared_cases / "expected/adapter.json"));
    const std::map<std::string, std::vector<std::string>> selections{
        {"qk", {}},
        {"q", {"--method", "q"}},
        {"k", {"--method", "k"}},
        {"v", {"--method", "v"}},
        {"qk.sliding", {"--include-sliding"}}};
    for (const auto& [name, words] : selections) {
        ASSERT_EQ(repair(shared_cases, name, words).exit_code, 0);
        EXPECT_EQ(tensor_digests(folder_.path() / name / "adapter_model.safetensors"),
                  read_digests(cases.at(name).at("kept")))
            << name;
    }
}

TEST_F(Adapters, KeepTheirRankUnderQkPro) {
    const fs::path root = own_cases / "rslora";
    const auto expected = checkpoint::Checkpoint::open(root / "expected/pro.gram.safetensors");
    ASSERT_EQ(repair(root, "pro", {"--method", "pro", "--lambda-rel", "0.01,0.1,1"}).exit_code, 0);
    for (const auto& [output, lambda] :
         std::map<std::string, std::string>{{"pro-lambda-rel-0.01", "0.01"},
                                            {"pro-lambda-rel-0.1", "0.1"},
                                            {"pro-lambda-rel-1", "1.0"}}) {
        const auto repaired =
            checkpoint::Checkpoint::open(folder_.path() / output / "adapter_model.safetensors");
        for (int layer = 0; layer < 3; ++layer) {
            const std::string module = format("base_model.model.model.layers.{}.self_attn.", layer);
            EXPECT_EQ(read_values(repaired, module + "q_proj.lora_B.weight"),
                      read_values(expected, format("layers.{}.lora_B.{}.f32", layer, lambda)));
            EXPECT_EQ(repaired.find(module + "k_proj.lora_B.weight"), nullptr);
        }
        EXPECT_EQ(verify(root, "--post", output).exit_code, 0) << output;
    }
}

TEST_F(Adapters, AreScaledByLerp) {
    const fs::path root = own_cases / "rslora";
    const auto expected = checkpoint::Checkpoint::open(root / "expected/pro.gram.safetensors");
    ASSERT_EQ(repair(root, "lerp", {"--method", "lerp", "--alpha", "0.25"}).exit_code, 0);
    const auto repaired =
        checkpoint::Checkpoint::open(folder_.path() / "lerp/adapter_model.safetensors");
    for (const char* part : {"q", "k"}) {
        auto wanted = read_values(expected, format("layers.1.{}.lora_B.lerp.0.25", part));
        std::ranges::transform(wanted, wanted.begin(), [](double value) {
            return static_cast<double>(static_cast<float>(value));
        });
        EXPECT_EQ(
            read_values(
                repaired,
                format("base_model.model.model.layers.1.self_attn.{}_proj.lora_B.weight", part)),
            wanted);
    }
    EXPECT_EQ(verify(root, "--post", "lerp").exit_code, 0);
}

TEST_F(Adapters, ThatNameNothingInTheBaseAreRefused) {
    const CommandResult result = run({"restore",
                                      "--pre",
                                      (own_cases / "rslora/base").string(),
                                      "--post",
                                      (own_cases / "unmatched/adapter").string(),
                                      "--out",
                                      out("refused")});
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.errors,
                AllOf(HasSubstr("none of the 42 adapter tensors names a tensor of the base"),
                      HasSubstr("--allow prefix")));
    EXPECT_FALSE(fs::exists(out("refused")));
}

TEST_F(Adapters, AreRefusedForWhatTheirConfigAsks) {
    const auto refusal = [&](const std::string& from, const std::string& to, const char* verb) {
        fs::remove_all(out("adapter"));
        fs::copy(own_cases / "rslora/adapter", out("adapter"));
        std::string config = io::read_text(own_cases / "rslora/adapter/adapter_config.json");
        config.replace(config.find(from), from.size(), to);
        fs::remove(out("adapter") + "/adapter_config.json");
        folder_.write("adapter/adapter_config.json", config);
        return run({"restore",
                    "--pre",
                    (own_cases / "rslora/base").string(),
                    verb,
                    out("adapter"),
                    "--out",
                    out("refused")});
    };
    const std::string init = "\"init_lora_weights\": true";
    for (const auto& [word, name] : std::map<std::string, std::string>{{"pissa_niter_4", "PiSSA"},
                                                                       {"olora", "OLoRA"},
                                                                       {"loftq", "LoftQ"},
                                                                       {"eva", "EVA"},
                                                                       {"corda", "CorDA"}}) {
        const CommandResult result =
            refusal(init, format("\"init_lora_weights\": \"{}\"", word), "--post");
        EXPECT_EQ(result.exit_code, 5) << word;
        EXPECT_THAT(result.errors, AllOf(HasSubstr(name), HasSubstr("--allow residual")));
    }
    const auto expect = [&](const std::string& from,
                            const std::string& to,
                            const char* verb,
                            int code,
                            const std::string& word) {
        const CommandResult result = refusal(from, to, verb);
        EXPECT_EQ(result.exit_code, code) << to << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(word));
        EXPECT_FALSE(fs::exists(out("refused")));
    };
    expect("\"LORA\"", "\"IA3\"", "--post", 5, "IA3");
    expect("\"use_qalora\": false", "\"use_qalora\": true", "--post", 5, "QA-LoRA");
    expect("\"r\": 4", "\"r\": 5", "--post", 6, "the rank is 4 in its tensors and 5");
    expect("\"r\": 4", "\"r\": -1", "--post", 4, "r is -1");
    expect("\"rank_pattern\": {}", "\"rank_pattern\": {\"(\": 4}", "--post", 4, "pattern");
    expect("\"use_dora\": false", "\"use_dora\": true", "--adapter", 6, "no magnitude vector");
    expect("\"alora_invocation_tokens\": null",
           "\"alora_invocation_tokens\": [1]",
           "--adapter",
           5,
           "aLoRA");
    EXPECT_EQ(
        refusal("\"alora_invocation_tokens\": null", "\"alora_invocation_tokens\": [1]", "--post")
            .exit_code,
        0);
}

TEST_F(Adapters, OptionsThatDoNotBelongAreRefused) {
    const fs::path root = own_cases / "rslora";
    EXPECT_EQ(repair(root, "no", {"--as-peft"}).exit_code, 2);
    EXPECT_EQ(repair(root, "no", {"--model-card"}).exit_code, 2);
    EXPECT_EQ(repair(root, "no", {"--shard", "1/2"}).exit_code, 2);
    EXPECT_EQ(repair(root, "no", {"--method", "align"}).exit_code, 5);
    EXPECT_EQ(repair(root, "no", {"--layers", "9"}).exit_code, 2);
    EXPECT_EQ(repair(root, "no", {"--method", "lerp", "--alpha", "0"}).exit_code, 2);
    EXPECT_EQ(run({"restore", "--pre", (root / "base").string(), "--out", out("no")}).exit_code, 2);
    EXPECT_EQ(repair(own_cases / "dora", "no", {"--method", "pro"}).exit_code, 5);
    EXPECT_FALSE(fs::exists(out("no")));
}

TEST_F(Adapters, DryRunsWriteNothing) {
    const fs::path root = own_cases / "rslora";
    const CommandResult repaired = repair(root, "no", {"--dry-run", "--json"});
    ASSERT_EQ(repaired.exit_code, 0) << repaired.errors;
    EXPECT_EQ(Json::parse(repaired.output).at("tensors_removed").as_unsigned("removed"), 12U);
    const CommandResult merged = merge(root, "no", {"--dry-run", "--json"});
    ASSERT_EQ(merged.exit_code, 0) << merged.errors;
    EXPECT_EQ(Json::parse(merged.output).at("changes").as_array("changes").size(), 15U);
    EXPECT_FALSE(fs::exists(out("no")));
}

TEST_F(Adapters, TidyNamesWhatLeft) {
    const fs::path root = own_cases / "rslora";
    ASSERT_EQ(repair(root, "tidy", {"--tidy"}).exit_code, 0);
    const Json config = Json::parse(io::read_text(folder_.path() / "tidy/adapter_config.json"));
    EXPECT_EQ(config.at("exclude_modules").as_array("exclude_modules").size(), 6U);
    EXPECT_EQ(verify(root, "--post", "tidy").exit_code, 0);
}

TEST_F(Adapters, AreInspectedAgainstTheirBase) {
    const fs::path root = own_cases / "nemotron_h";
    const CommandResult result =
        run({"inspect", (root / "adapter").string(), "--base", (root / "base").string(), "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    EXPECT_EQ(json.at("rank").as_unsigned("rank"), 2U);
    EXPECT_EQ(json.at("base").at("base_prefix").as_string("prefix"), "backbone.");
    EXPECT_EQ(json.at("base").at("matched").as_unsigned("matched"), 10U);
    EXPECT_THAT(result.output, HasSubstr("linear_mixers_hit"));
    // From the Gram matrices of the factors; here from the difference itself.
    const auto base = checkpoint::Checkpoint::open(root / "base");
    const auto adapter = checkpoint::Checkpoint::open(root / "adapter/adapter_model.safetensors");
    const std::string module = "base_model.model.model.layers.3.mixer.k_proj.";
    const auto a = read_values(adapter, module + "lora_A.weight");
    const auto b = read_values(adapter, module + "lora_B.weight");
    const auto weight = read_values(base, "backbone.layers.3.mixer.k_proj.weight");
    const std::size_t columns = a.size() / 2;
    double before = 0.0;
    double difference = 0.0;
    for (std::size_t i = 0; i < weight.size(); ++i) {
        const std::size_t row = i / columns;
        const std::size_t column = i % columns;
        const double delta = b[2 * row] * a[column] + b[2 * row + 1] * a[columns + column];
        before += weight[i] * weight[i];
        difference += delta * delta;
    }
    const Json& bend = json.at("bends").as_array("bends").front();
    EXPECT_EQ(bend.at("part").as_string("part"), "k");
    EXPECT_NEAR(bend.at("drift").as_double("drift"), std::sqrt(difference / before), 1e-12);
    EXPECT_EQ(run({"inspect", (root / "adapter").string()}).exit_code, 0);
}

}  // namespace
}  // namespace anamnesis::testing
