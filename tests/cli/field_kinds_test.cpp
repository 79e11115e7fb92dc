// SPDX-License-Identifier: Apache-2.0
//
// Kinds of broken checkpoints beyond the recorded cases: other spellings, families and shapes.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path surgery = fs::path(ANAMNESIS_TESTDATA) / "surgery";

class FieldKinds : public ::testing::Test {
protected:
    void SetUp() override { fs::current_path(folder_.path()); }
    void TearDown() override { fs::current_path("/"); }

    static void use(const std::string& family) {
        for (const char* side : {"pre", "post"}) {
            fs::remove_all(side);
            fs::copy(surgery / family / side, side, fs::copy_options::recursive);
        }
    }
    static CommandResult command(std::vector<std::string> words) {
        words.insert(words.begin(), ANAMNESIS_BINARY);
        return run_command(words);
    }
    static CommandResult restore(const std::vector<std::string>& options = {}) {
        fs::remove_all("out");
        std::vector<std::string> words{"restore", "--pre", "pre", "--post", "post", "--out", "out"};
        words.insert(words.end(), options.begin(), options.end());
        return command(words);
    }
    static CommandResult verify(const std::vector<std::string>& options = {}) {
        std::vector<std::string> words{
            "verify", "--quiet", "--pre", "pre", "--post", "post", "--repaired", "out"};
        words.insert(words.end(), options.begin(), options.end());
        return command(words);
    }
    static void edit_config(const std::string& side, const std::function<void(Json&)>& edit) {
        Json config = Json::parse(read_file(fs::path(side) / "config.json"));
        edit(config);
        std::ofstream(fs::path(side) / "config.json") << config.dump(2);
    }

    TemporaryFolder folder_;
};

std::string put_before(std::string name, std::string_view part, std::string_view wrapper) {
    const std::size_t at = name.find(part);
    return at == std::string::npos ? name : name.insert(at, wrapper);
}

TEST_F(FieldKinds, WrappersAreSeenThroughInAnyOrderAndPlace) {
    const std::vector<std::pair<std::string, Rename>> wrappers{
        {"_orig_mod.", [](const std::string& name) { return "_orig_mod.module." + name; }},
        {"module.", [](const std::string& name) { return "module._orig_mod." + name; }},
        {"base_model.model.",
         [](const std::string& name) {
             return "base_model.model." +
                    put_before(name,
                               "weight",
                               name.find("_proj.") != std::string::npos ? "base_layer." : "");
         }},
        {"_fsdp_wrapped_module.",
         [](const std::string& name) {
             return put_before("_fsdp_wrapped_module." + name,
                               "mixer",
                               "_checkpoint_wrapped_module._fsdp_wrapped_module.");
         }},
        {"_forward_module.", [](const std::string& name) { return "_forward_module." + name; }},
    };
    for (const std::string family : {"qwen3_next", "nemotron_h", "gpt_neox", "zamba2"}) {
        use(family);
        ASSERT_EQ(restore().exit_code, 0);
        const auto expected = tensor_digests("out");
        for (const auto& [spelling, rename] : wrappers) {
            for (const std::string side : {"post", "pre"}) {
                use(family);
                rename_tensors(side, rename);
                const CommandResult repaired = restore({"--clean-names"});
                ASSERT_EQ(repaired.exit_code, 0) << family << spelling << repaired.errors;
                EXPECT_THAT(repaired.errors, HasSubstr("'" + spelling + "'"));
                EXPECT_EQ(tensor_digests("out"), expected) << family << spelling << side;
                EXPECT_EQ(verify().exit_code, 0) << family << spelling << side;
            }
        }
    }
}

TEST_F(FieldKinds, AnAdapterIsCalledThatWhateverItsFiles) {
    ForgedCheckpoint adapter;
    adapter.config = Json();
    for (int layer = 0; layer < 2; ++layer) {
        for (const char* part : {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"}) {
            adapter.add(format("base_model.model.model.layers.{}.self_attn.q_proj.{}", layer, part),
                        {4, 4});
        }
    }
    folder_.write("post/adapter_config.json", "{}");
    const auto expect_refused = [](int code) {
        const CommandResult refused = command({"inspect", "post"});
        EXPECT_EQ(refused.exit_code, code) << refused.errors;
        EXPECT_THAT(refused.errors, HasSubstr("LoRA adapter"));
    };
    const std::string bytes = forge_safetensors(adapter.tensors);
    folder_.write("post/adapter_model.safetensors", bytes);
    EXPECT_THAT(command({"inspect", "post"}).output, HasSubstr("LoRA adapter"));
    const CommandResult as_pre =
        command({"restore", "--pre", "post", "--post", "post", "--out", "o"});
    EXPECT_EQ(as_pre.exit_code, 5);
    EXPECT_THAT(as_pre.errors, AllOf(HasSubstr("LoRA adapter"), HasSubstr("merge")));
    fs::remove("post/adapter_model.safetensors");
    for (const char* name :
         {"adapter_model-00001-of-00002.safetensors", "model.safetensors", "adapter_model.bin"}) {
        const fs::path path = folder_.write(fs::path("post") / name, bytes);
        const bool lacks_index = std::string_view(name).find("00001") != std::string_view::npos;
        if (lacks_index) {
            folder_.write("post/adapter_model-00002-of-00002.safetensors", bytes);
        }
        expect_refused(lacks_index ? 3 : 5);
        fs::remove(path);
        fs::remove("post/adapter_model-00002-of-00002.safetensors");
    }
}

TEST_F(FieldKinds, FilesOfAnotherKindAreCalledWhatTheyAre) {
    const std::vector<std::pair<std::string, std::string>> kinds{
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 77\n", "Git LFS pointer"},
        {"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "web page"},
        {"GGUF\x03" + std::string(40, '\0'), "GGUF"},
        {"PK\x03\x04" + std::string(30, 'x') + "archive/data.pkl" + std::string(30, 'x'), "pickle"},
        {"PK\x03\x04" + std::string(60, 'x'), "zip archive"},
        {"\x80\x02}q" + std::string(40, 'x'), "pickle"},
        {"Entry not found", "answer of a server"},
    };
    for (const auto& [bytes, what] : kinds) {
        use("llama");
        folder_.write("post/model.safetensors", bytes);
        const CommandResult refused = command({"inspect", "post"});
        EXPECT_EQ(refused.exit_code, 4) << what << refused.errors;
        EXPECT_THAT(refused.errors, HasSubstr(what));
        use("llama");
        folder_.write("post/config.json", bytes);
        EXPECT_EQ(command({"inspect", "post"}).exit_code, 4) << what;
    }
    use("llama");
    folder_.write("post/tokenizer.json", kinds.front().first);
    EXPECT_THAT(command({"inspect", "post"}).output,
                AllOf(HasSubstr("'tokenizer.json' is not what the name says"),
                      HasSubstr("Git LFS pointer")));
}

TEST_F(FieldKinds, AFolderOfTheCacheOrOfATrainerNamesWhatLiesBelow) {
    use("llama");
    for (const std::string below : {"models--org--name/snapshots/0123abc",
                                    "run/global_step_50/actor/huggingface",
                                    "out2/checkpoint-1000"}) {
        fs::create_directories(fs::path(below).parent_path());
        fs::rename("post", below);
        const std::string top = below.substr(0, below.find('/'));
        const CommandResult refused = command({"inspect", top});
        EXPECT_EQ(refused.exit_code, 3);
        EXPECT_THAT(refused.errors, HasSubstr(below));
        fs::rename(below, "post");
    }
    const CommandResult hub = command({"inspect", "Qwen/Qwen3-8B"});
    EXPECT_EQ(hub.exit_code, 3);
    EXPECT_THAT(hub.errors, HasSubstr("hf download Qwen/Qwen3-8B"));
}

TEST_F(FieldKinds, RotarySettingsAreComparedByMeaning) {
    const auto expect_fits = [](const std::string& pre, const std::string& post, bool fits) {
        use("qwen3");
        const auto set = [](const std::string& side, const std::string& members) {
            edit_config(side, [&](Json& config) {
                config.set("rope_parameters", Json());
                config.set("rope_theta", Json());
                config.set("max_position_embeddings", 32768);
                const Json more = Json::parse(members);
                for (const auto& [key, value] : more.as_object("members")) {
                    config.set(key, value);
                }
            });
        };
        set("pre", pre);
        set("post", post);
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, fits ? 0 : 6) << pre << post << result.errors;
    };
    expect_fits(
        R"({"rope_theta": 10000})", R"({"rope_parameters": {"rope_theta": 10000.0}})", true);
    expect_fits(R"({"rope_theta": 10000})", "{}", true);
    expect_fits(R"({"rope_scaling": {"type": "linear", "factor": 1}})", "{}", true);
    expect_fits(R"({"rope_scaling": {"type": "linear", "factor": 2}})",
                R"({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "attn": null}})",
                true);
    expect_fits(R"({"rope_scaling": {"type": "yarn", "factor": 4}})",
                R"({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0,
                    "beta_slow": 1.0, "attention_factor": 1.1386294361119891, "truncate": true,
                    "original_max_position_embeddings": 32768, "rope_theta": 10000.0}})",
                true);
    expect_fits(R"({"rope_scaling": {"type": "yarn", "factor": 4}})",
                R"({"rope_scaling": {"type": "yarn", "factor": 8}})",
                false);
    expect_fits(R"({"rope_theta": 10000})", R"({"rope_theta": 1000000})", false);
    expect_fits(R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1,
                    "high_freq_factor": 4, "original_max_position_embeddings": 8192}})",
                R"({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})",
                true);
}

TEST_F(FieldKinds, TheIndexOfTheOutputNamesWhatTheOutputHolds) {
    const auto pre = forged_llama(2);
    auto post = forged_llama(2);
    const TemporaryFolder before;
    const TemporaryFolder after;
    pre.write(before, 1);
    post.write_sharded(after, 2, 1);
    // A fine-tune of the same weights: one value of each projection differs.
    fs::copy(before.path(), "pre", fs::copy_options::recursive);
    fs::copy(after.path(), "post", fs::copy_options::recursive);
    for (const auto& entry : fs::directory_iterator("post")) {
        if (entry.path().extension() == ".safetensors") {
            const auto tensors = checkpoint::Checkpoint::open(entry.path());
            std::string bytes = read_file(entry.path());
            for (const auto& tensor : tensors.tensors()) {
                bytes[tensor.offset] = static_cast<char>(bytes[tensor.offset] ^ 1);
            }
            std::ofstream(entry.path(), std::ios::binary) << bytes;
        }
    }
    Json index = Json::parse(read_file("post/model.safetensors.index.json"));
    Json map = index.at("weight_map");
    map.set("mtp.fc.weight", "model-00001-of-00002.safetensors");
    map.set("model.norm.weight", "model-00001-of-00002.safetensors");
    index.set("weight_map", map);
    std::ofstream("post/model.safetensors.index.json") << index.dump(2);
    std::ofstream("post/pytorch_model.bin.index.json")
        << R"({"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}})";
    std::ofstream("post/diffusion_pytorch_model.safetensors.index.json") << R"({"weight_map": {}})";
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_FALSE(fs::exists("out/pytorch_model.bin.index.json"));
    const auto repaired = checkpoint::Checkpoint::open("out");
    EXPECT_TRUE(repaired.is_indexed());
    EXPECT_TRUE(repaired.is_index_exact());
    const CommandResult verified = verify();
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
}

/// Flips one bit of a tensor of a folder with one weight file.
void flip_bit(const fs::path& folder, const std::string& name, std::uint64_t byte) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    const auto& tensor = checkpoint.at(name);
    const fs::path file = checkpoint.files()[tensor.file].path();
    std::string bytes = read_file(file);
    bytes[tensor.offset + byte] = static_cast<char>(bytes[tensor.offset + byte] ^ 0x10);
    std::ofstream(file, std::ios::binary) << bytes;
}

TEST_F(FieldKinds, ValuesAreRequantisedIntoFp8AndProven) {
    // The fine-tune is FP8 with a scale a row, its base BF16.
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    fs::copy(pair / "post", "pre", fs::copy_options::recursive);
    fs::copy(pair / "pre", "post", fs::copy_options::recursive);
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("requantised: pre's values, rounded to nearest"));
    const auto before = tensor_digests("post");
    for (const auto& [name, digest] : tensor_digests("out")) {
        const bool is_taken = name.find("self_attn.q_proj.weight") != std::string::npos ||
                              name.find("self_attn.k_proj.weight") != std::string::npos;
        EXPECT_EQ(digest == before.at(name), !is_taken) << name;
    }
    EXPECT_EQ(verify().exit_code, 0);
    for (const char* name :
         {"model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight"}) {
        flip_bit("out", name, 3);
        const CommandResult refuted = verify();
        EXPECT_EQ(refuted.exit_code, 1);
        EXPECT_THAT(refuted.output, HasSubstr(name));
        flip_bit("out", name, 3);
    }
    // A scale that is off by a factor leaves no row of its block right.
    flip_bit("out", "model.layers.0.self_attn.q_proj.weight_scale", 1);
    EXPECT_EQ(verify().exit_code, 1);
    flip_bit("out", "model.layers.0.self_attn.q_proj.weight_scale", 1);
    // What went to FP8 and back is near what it was: half a unit in the last place.
    fs::rename("out", "fp8");
    const CommandResult drift = command({"drift", "--pre", "pre", "--post", "fp8", "--json"});
    ASSERT_EQ(drift.exit_code, 0);
    const Json parts = Json::parse(drift.output).at("parts");
    EXPECT_LT(parts.at("q").as_double("q"), 0.04);
    EXPECT_GT(parts.at("v").as_double("v"), 0.04);
}

TEST_F(FieldKinds, Fp8WithoutAnyScaleIsNoPlainCastWhereItCannotBe) {
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    for (const auto& [name, fact] :
         {std::pair<std::string, std::string>{"scale_weight", "is no name of a scale"},
          {"weight_factor", "times as large as those of the other"}}) {
        fs::remove_all("pre");
        fs::remove_all("post");
        fs::copy(pair / "pre", "pre", fs::copy_options::recursive);
        fs::copy(pair / "post", "post", fs::copy_options::recursive);
        rename_tensors("pre", [&](const std::string& old) {
            const std::size_t at = old.find("weight_scale");
            return at == std::string::npos ? old : old.substr(0, at) + name;
        });
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 6) << result.output;
        EXPECT_THAT(result.errors, AllOf(HasSubstr("has no scale"), HasSubstr(fact)));
        EXPECT_FALSE(fs::exists("out"));
    }
}

/// Every BF16 value four times as large, and in another place of its tensor.
void shuffle_and_enlarge(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".safetensors") {
            continue;
        }
        std::string bytes = read_file(entry.path());
        const std::size_t length =
            static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
        const Json header = Json::parse(std::string_view(bytes).substr(8, length));
        for (const auto& [name, value] : header.as_object("header")) {
            if (name == "__metadata__" || value.at("dtype").as_string("dtype") != "BF16") {
                continue;
            }
            const auto offsets = value.at("data_offsets").as_array("data_offsets");
            const auto begin = 8 + length + offsets[0].as_unsigned("begin");
            const auto end = 8 + length + offsets[1].as_unsigned("end");
            for (std::size_t left = begin, right = end - 2; left < right; left += 2, right -= 2) {
                std::swap(bytes[left], bytes[right]);
                std::swap(bytes[left + 1], bytes[right + 1]);
            }
            for (std::size_t at = begin; at < end; at += 2) {
                bytes[at + 1] = static_cast<char>(bytes[at + 1] + 1);
            }
        }
        std::ofstream(entry.path(), std::ios::binary) << bytes;
    }
}

TEST_F(FieldKinds, AnUnrelatedPreIsToldHoweverLargeItIs) {
    fs::copy(surgery / "qwen3_next" / "pre", "pre", fs::copy_options::recursive);
    fs::copy(surgery / "qwen3_next" / "post", "post", fs::copy_options::recursive);
    ASSERT_EQ(restore().exit_code, 0);
    fs::remove_all("out");
    shuffle_and_enlarge("pre");
    const CommandResult result = restore();
    EXPECT_EQ(result.exit_code, 6) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("unrelated"));
}

TEST_F(FieldKinds, AConfigThatOneOfAPairLacksIsThatOfTheOther) {
    for (const char* family : {"jamba", "falcon_h1"}) {
        fs::remove_all("pre");
        fs::remove_all("post");
        fs::copy(surgery / family / "pre", "pre", fs::copy_options::recursive);
        fs::copy(surgery / family / "post", "post", fs::copy_options::recursive);
        fs::remove("post/config.json");
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 6) << result.output;
        EXPECT_THAT(result.errors, HasSubstr("give --config pre/config.json"));
    }
}

TEST_F(FieldKinds, AnUnknownWrapperIsNamed) {
    fs::copy(surgery / "jamba" / "pre", "pre", fs::copy_options::recursive);
    fs::copy(surgery / "jamba" / "post", "post", fs::copy_options::recursive);
    rename_tensors("post", [](const std::string& old) { return "state_model." + old; });
    const CommandResult result = restore();
    EXPECT_NE(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("'state_model."));
}

TEST_F(FieldKinds, RowsOfFp8GoInPlaceAndIntoPatches) {
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    fs::copy(pair / "post", "pre", fs::copy_options::recursive);
    fs::copy(pair / "pre", "post", fs::copy_options::recursive);
    ASSERT_EQ(restore().exit_code, 0);
    const auto expected = tensor_digests("out");
    const std::vector<std::string> sources{"restore", "--pre", "pre", "--post", "post"};
    const auto run = [&](std::vector<std::string> options) {
        options.insert(options.begin(), sources.begin(), sources.end());
        return command(options);
    };
    ASSERT_EQ(run({"--patch", "p.safetensors"}).exit_code, 0);
    fs::remove_all("out");
    ASSERT_EQ(command({"apply", "p.safetensors", "--to", "post", "--out", "out"}).exit_code, 0);
    EXPECT_EQ(tensor_digests("out"), expected);
    const auto before = snapshot("post");
    ASSERT_EQ(run({"--in-place"}).exit_code, 0);
    EXPECT_EQ(tensor_digests("post"), expected);
    ASSERT_EQ(command({"undo", "post"}).exit_code, 0);
    EXPECT_EQ(snapshot("post"), before);
}

TEST_F(FieldKinds, ASharedBlockIsPairedWhicheverUserStoresIt) {
    const auto under_another_user = [](const std::string& name) {
        const std::string home = "layers.0.shared_transformer";
        const std::size_t at = name.find(home);
        return at == std::string::npos
                   ? name
                   : std::string(name).replace(at, home.size(), "layers.3.shared_transformer");
    };
    use("zamba2");
    ASSERT_EQ(restore().exit_code, 0);
    const auto expected = tensor_digests("out");
    use("zamba2");
    rename_tensors("pre", under_another_user);
    ASSERT_EQ(restore().exit_code, 0);
    EXPECT_EQ(tensor_digests("out"), expected);
    EXPECT_EQ(verify().exit_code, 0);
    use("zamba2");
    rename_tensors("post", under_another_user);
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    std::map<std::string, std::string> renamed;
    for (const auto& [name, digest] : expected) {
        renamed[under_another_user(name)] = digest;
    }
    EXPECT_EQ(tensor_digests("out"), renamed);
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(FieldKinds, NullMetadataPasses) {
    use("llama");
    for (const char* side : {"pre", "post"}) {
        const fs::path path = fs::path(side) / "model.safetensors";
        std::string bytes = read_file(path);
        const std::string given = R"("__metadata__":{"format":"pt"})";
        const std::size_t at = bytes.find(given);
        ASSERT_NE(at, std::string::npos);
        bytes.replace(at, given.size(), R"("__metadata__":null           )");
        std::ofstream(path, std::ios::binary) << bytes;
    }
    const CommandResult result = restore();
    EXPECT_EQ(result.exit_code, 0) << result.errors;
}

TEST_F(FieldKinds, StrictTakesAWarningAsARefusal) {
    use("llama");
    EXPECT_EQ(restore({"--strict"}).exit_code, 0);
    rename_tensors("post", [](const std::string& name) { return "module." + name; });
    EXPECT_EQ(restore().exit_code, 0);
    const CommandResult refused = restore({"--strict"});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("--strict takes 1 warning as a refusal"));
    EXPECT_FALSE(fs::exists("out"));
    for (const char* verb : {"inspect", "doctor"}) {
        EXPECT_EQ(command({verb, "post", "--strict"}).exit_code, 6) << verb;
        EXPECT_NE(command({verb, "post"}).exit_code, 6) << verb;
    }
    EXPECT_EQ(command({"drift", "--pre", "pre", "--post", "post", "--strict"}).exit_code, 6);
}

TEST_F(FieldKinds, VerifiesWeightsThatWereSavedAgain) {
    use("llama");
    ASSERT_EQ(restore().exit_code, 0);
    fs::remove("out/anamnesis.json");
    fs::remove("out/generation_config.json");
    std::ofstream("out/config.json") << "{}";
    fs::copy("post/config.json", "out/config.json", fs::copy_options::overwrite_existing);
    edit_config("out", [](Json& config) { config.set("use_cache", false); });
    EXPECT_EQ(verify().exit_code, 1);
    EXPECT_EQ(verify({"--weights-only"}).exit_code, 0);
}

TEST_F(FieldKinds, ALimitOnFileSizesIsAnErrorThatLeavesNothing) {
    use("llama");
    const auto before = snapshot(folder_.path());
    const CommandResult result = run_command({"/bin/sh",
                                              "-c",
                                              std::string("ulimit -f 4; exec ") + ANAMNESIS_BINARY +
                                                  " restore --pre pre --post post --out out"});
    EXPECT_FALSE(result.was_killed);
    EXPECT_TRUE(result.exit_code == 7 || result.exit_code == 8) << result.exit_code;
    EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_F(FieldKinds, OfSeveralRunsIntoOneOutputOneWinsAndTheOthersSayWhy) {
    use("llama");
    const std::string run = std::string("(") + ANAMNESIS_BINARY +
                            " restore --pre pre --post post --out out > /dev/null 2>> said; "
                            "echo $? >> codes) & ";
    std::string script;
    for (int i = 0; i < 8; ++i) {
        script += run;
    }
    ASSERT_EQ(run_command({"/bin/sh", "-c", script + "wait"}).exit_code, 0);
    const std::string codes = read_file("codes");
    EXPECT_EQ(std::ranges::count(codes, '0'), 1) << codes << read_file("said");
    EXPECT_EQ(std::ranges::count(codes, '2'), 7) << codes << read_file("said");
    EXPECT_THAT(read_file("said"), Not(HasSubstr("Directory not empty")));
    EXPECT_EQ(verify().exit_code, 0);
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
        EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("partial")));
    }
}

TEST_F(FieldKinds, GradesWhatAPipeGives) {
    folder_.write("answers.jsonl",
                  R"({"id": "a", "task": "math500", "gold": "1", "response": "\\boxed{1}"})"
                  "\n");
    const CommandResult piped =
        run_command({"/bin/sh",
                     "-c",
                     std::string("cat answers.jsonl | ") + ANAMNESIS_BINARY +
                         " grade --in - --out graded.jsonl"});
    EXPECT_EQ(piped.exit_code, 0) << piped.errors;
    EXPECT_THAT(read_file("graded.jsonl"), HasSubstr("\"correct\":true"));
}

TEST_F(FieldKinds, TheDoctorExaminesAPairAndGivesTheCommand) {
    use("qwen3");
    const CommandResult healthy = command({"doctor", "pre", "post"});
    EXPECT_EQ(healthy.exit_code, 0) << healthy.output << healthy.errors;
    EXPECT_THAT(healthy.output,
                HasSubstr("repair with: anamnesis restore --pre pre --post post --out "
                          "post-restored"));
    // A NaN and a layer of zeros.
    const auto tensors = checkpoint::Checkpoint::open("post");
    std::string bytes = read_file("post/model.safetensors");
    const auto& broken = tensors.at("model.layers.0.mlp.up_proj.weight");
    bytes[broken.offset + 8] = '\xC0';
    bytes[broken.offset + 9] = '\x7F';
    const auto& empty = tensors.at("model.layers.1.mlp.down_proj.weight");
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(empty.offset), empty.bytes, '\0');
    std::ofstream("post/model.safetensors", std::ios::binary) << bytes;
    folder_.write("post/tokenizer.json",
                  R"({"model": {"vocab": {"a": 0, "b": 96}}, "added_tokens": [{"id": 97}]})");
    const CommandResult ill = command({"doctor", "post", "--html", "page.html"});
    EXPECT_EQ(ill.exit_code, 1);
    EXPECT_THAT(ill.output,
                AllOf(HasSubstr("1 NaN and 0 infinite values in 1 tensor"),
                      HasSubstr("row 0, column 4 of 'model.layers.0.mlp.up_proj.weight'"),
                      HasSubstr("a matrix is of one value throughout: "
                                "'model.layers.1.mlp.down_proj.weight'"),
                      HasSubstr("tokenizer.json has tokens up to 97, the embedding has rows for "
                                "97")));
    EXPECT_THAT(read_file("page.html"), HasSubstr("tokenizer_larger"));
}

}  // namespace
}  // namespace anamnesis::testing
