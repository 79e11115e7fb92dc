// SPDX-License-Identifier: Apache-2.0
//
// Kinds of broken checkpoints beyond the recorded cases: their files and names.
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

#include "field_kinds.hpp"
#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

using ::testing::Not;

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

}  // namespace
}  // namespace anamnesis::testing
