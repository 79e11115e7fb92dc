// SPDX-License-Identifier: Apache-2.0
//
// Biases that PEFT trains beside an adapter and saves in full, through the real binary.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/file.hpp"

#include "adapters.hpp"
#include "run_command.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;

const std::string q_proj = "model.layers.0.self_attn.q_proj";
const std::string v_proj = "model.layers.0.self_attn.v_proj";

std::string make_floats(std::size_t count) {
    std::string bytes(count * sizeof(float), '\0');
    for (std::size_t i = 0; i < count; ++i) {
        const float value = 0.125F * static_cast<float>(i % 7) - 0.25F;
        std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
    return bytes;
}

class TrainedBiases : public Adapters {
protected:
    /// A base whose projections have biases, and an adapter as PEFT saves it with `bias`.
    fs::path write_case(const std::string& bias) const {
        const fs::path root = folder_.path() / bias;
        const fs::path model = fs::path(ANAMNESIS_TESTDATA) / "models/qwen2_5_base";
        fs::create_directories(root / "base");
        for (const char* name : {"config.json", "model.safetensors"}) {
            fs::copy(model / name, root / "base" / name);
        }
        const std::vector<NamedBytes> tensors{
            make(q_proj + ".base_layer.bias", {56}),
            make(q_proj + ".lora_A.weight", {2, 56}),
            make(q_proj + ".lora_B.weight", {56, 2}),
            make(v_proj + ".base_layer.bias", {8}),
            make(v_proj + ".lora_A.weight", {2, 56}),
            make(v_proj + ".lora_B.weight", {8, 2}),
        };
        const Json config = Json::Object{{"peft_type", "LORA"},
                                         {"r", 2},
                                         {"lora_alpha", 4},
                                         {"bias", bias},
                                         {"target_modules", Json(Json::Array{"q_proj", "v_proj"})}};
        folder_.write(fs::path(bias) / "adapter/adapter_model.safetensors",
                      make_safetensors(tensors));
        folder_.write(fs::path(bias) / "adapter/adapter_config.json", config.dump(2));
        return root;
    }

    static NamedBytes make(const std::string& name, const std::vector<std::uint64_t>& shape) {
        std::size_t count = 1;
        for (const std::uint64_t size : shape) {
            count *= size;
        }
        return {.name = "base_model.model." + name,
                .dtype = "F32",
                .shape = shape,
                .bytes = make_floats(count)};
    }
};

TEST_F(TrainedBiases, GetTheRowsOfTheBaseBackWhereTheyAreSelected) {
    for (const char* bias : {"all", "lora_only"}) {
        SCOPED_TRACE(bias);
        const fs::path root = write_case(bias);
        const auto base = checkpoint::Checkpoint::open(root / "base");
        const auto adapter =
            checkpoint::Checkpoint::open(root / "adapter/adapter_model.safetensors");
        const std::string peft = "base_model.model.";
        ASSERT_NE(read_values(adapter, peft + q_proj + ".base_layer.bias"),
                  read_values(base, q_proj + ".bias"));

        const std::string repaired = std::string("repaired_") + bias;
        const CommandResult result = repair(root, repaired, {"--tidy"});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const auto made =
            checkpoint::Checkpoint::open(folder_.path() / repaired / "adapter_model.safetensors");
        EXPECT_EQ(made.tensors().size(), 4U);
        EXPECT_EQ(read_values(made, peft + q_proj + ".base_layer.bias"),
                  read_values(base, q_proj + ".bias"));
        EXPECT_EQ(read_values(made, peft + v_proj + ".base_layer.bias"),
                  read_values(adapter, peft + v_proj + ".base_layer.bias"));
        EXPECT_EQ(verify(root, "--post", repaired).exit_code, 0);

        const std::string merged = std::string("merged_") + bias;
        const CommandResult merging = merge(root, merged);
        ASSERT_EQ(merging.exit_code, 0) << merging.errors;
        const auto sum = checkpoint::Checkpoint::open(folder_.path() / merged);
        EXPECT_EQ(read_values(sum, q_proj + ".bias"), read_values(base, q_proj + ".bias"));
        EXPECT_EQ(read_values(sum, v_proj + ".bias"),
                  read_values(adapter, peft + v_proj + ".base_layer.bias"));
        EXPECT_EQ(verify(root, "--adapter", merged).exit_code, 0);
    }
}

/// PEFT looks for the bias within its wrapper, which exclude_modules would take away.
TEST_F(TrainedBiases, ThatStayKeepTheirModulesWrapped) {
    const fs::path root = write_case("all");
    ASSERT_EQ(repair(root, "tidy", {"--tidy", "--no-bias"}).exit_code, 0);
    const Json config = Json::parse(read_text_file(folder_.path() / "tidy/adapter_config.json"));
    EXPECT_TRUE(config.at("exclude_modules").as_array("exclude_modules").empty());
    ASSERT_EQ(repair(root, "tidier", {"--tidy"}).exit_code, 0);
    const Json other = Json::parse(read_text_file(folder_.path() / "tidier/adapter_config.json"));
    EXPECT_EQ(other.at("exclude_modules").as_array("exclude_modules").size(), 1U);
}

/// Without trained biases such a tensor is the base's own.
TEST_F(TrainedBiases, AreCopiesOfTheBaseWhereNoneIsTrained) {
    const fs::path root = write_case("none");
    const CommandResult result = merge(root, "merged");
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.errors, HasSubstr("of this base has other values"));
}

TEST_F(TrainedBiases, CopiesOfTheBaseAreProvenToo) {
    const fs::path root = write_case("none");
    const auto base = checkpoint::Checkpoint::open(root / "base");
    const auto put = [&](const fs::path& file, const std::string& module, double add) {
        const checkpoint::TensorEntry tensor = checkpoint::Checkpoint::open(file).at(
            "base_model.model." + module + ".base_layer.bias");
        std::vector<float> values;
        for (const double value : read_values(base, module + ".bias")) {
            values.push_back(static_cast<float>(value + add));
        }
        io::File::open_for_update(file).write_at(tensor.offset, std::as_bytes(std::span(values)));
    };
    for (const std::string& module : {q_proj, v_proj}) {
        put(root / "adapter/adapter_model.safetensors", module, 0.0);
    }
    const CommandResult result = repair(root, "repaired");
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(verify(root, "--post", "repaired").exit_code, 0);
    put(folder_.path() / "repaired/adapter_model.safetensors", v_proj, 1.0);
    EXPECT_EQ(verify(root, "--post", "repaired").exit_code, 1);
}

}  // namespace
}  // namespace anamnesis::testing
