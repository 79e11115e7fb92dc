// SPDX-License-Identifier: Apache-2.0
//
// restore --method fit of mixtures, end to end.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"

#include "fit_command.hpp"
#include "run_command.hpp"
#include "tensor_digests.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Texts in which every expert of the tiny mixtures is asked often enough.
constexpr std::uint32_t many_texts = 120;

class FitOfExperts : public Fit {
protected:
    fs::path make(const std::string& name,
                  const std::string& mu,
                  std::vector<std::string> options = {}) {
        const fs::path out = folder_.path() / name;
        fs::remove_all(out);
        options.insert(options.end(), {"--groups", "mlp", "--mu", mu, "--out", out.string()});
        const CommandResult result = restore(options);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return out;
    }

    fs::path copy_from_pre() {
        const fs::path out = folder_.path() / "copied";
        fs::remove_all(out);
        const CommandResult result = command({"restore",
                                              "--pre",
                                              pre_.string(),
                                              "--post",
                                              post_.string(),
                                              "--groups",
                                              "mlp",
                                              "--out",
                                              out.string()});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return out;
    }
};

bool is_of_router_correction(const std::string& name) {
    return name.find("correction") != std::string::npos ||
           name.find("expert_bias") != std::string::npos;
}

// Experts one by one, in stacks, in stacks that lie the other way with biases and gates between
// ups; routers of every kind, corrected ones, shared experts, experts of a width of their own.
TEST_F(FitOfExperts, LimitsArePreAndPostAndStoredMomentsProveTheRest) {
    for (const char* model : {"deepseek_v2_base",
                              "deepseek_v3_base",
                              "gpt_oss_hub_config",
                              "jamba_hub_config",
                              "lfm2_moe_odd",
                              "mixtral_base",
                              "nemotron_h_hub_config",
                              "qwen2_moe_base",
                              "qwen3_5_moe"}) {
        SCOPED_TRACE(model);
        use_random_pair(model, many_texts);
        const auto of_post = tensor_digests(post_);
        const auto of_copy = tensor_digests(copy_from_pre());
        for (const auto& [name, digest] : tensor_digests(make("strong", "0"))) {
            EXPECT_EQ(digest, is_of_router_correction(name) ? of_post.at(name) : of_copy.at(name))
                << name;
        }
        EXPECT_EQ(tensor_digests(make("none", "inf")), of_post);
        const fs::path moments = folder_.path() / "moments";
        fs::remove_all(moments);
        const fs::path middle = make("middle", "0.3", {"--moments", moments.string()});
        std::uint64_t changed_experts = 0;
        for (const auto& [name, digest] : tensor_digests(middle)) {
            const bool is_left =
                of_copy.at(name) == of_post.at(name) || is_of_router_correction(name);
            const bool is_of_experts = name.find(".experts.") != std::string::npos;
            changed_experts += is_of_experts && digest != of_post.at(name) ? 1 : 0;
            // A router may never choose one of its experts.
            if (!is_of_experts) {
                EXPECT_EQ(digest == of_post.at(name), is_left) << name;
            }
            EXPECT_TRUE(is_left || digest != of_copy.at(name)) << name;
        }
        EXPECT_GT(changed_experts, 0U);
        const CommandResult proof = verify(middle, {"--moments", moments.string()});
        EXPECT_EQ(proof.exit_code, 0) << proof.output;
        const Json json = Json::parse(proof.output);
        EXPECT_EQ(json.at("rows_recomputed").as_unsigned("rows"),
                  json.at("rows_computed").as_unsigned("rows"));
    }
}

/// The experts of a layer of the tiny mixture as two stacks, which its family reads as well.
void stack_experts(const fs::path& folder) {
    const auto file = formats::SafetensorsFile::open(folder / "model.safetensors");
    std::vector<NamedBytes> tensors;
    std::map<std::string, std::map<std::string, std::string>> parts;
    std::map<std::string, std::vector<std::uint64_t>> shapes;
    DType dtype = DType::f32;
    for (const formats::TensorInfo& tensor : file.tensors()) {
        const std::string bytes = read_bytes(file, tensor);
        const std::size_t at = tensor.name.find(".experts.");
        if (at == std::string::npos) {
            tensors.push_back({.name = tensor.name,
                               .dtype = std::string(to_string(tensor.dtype)),
                               .shape = {tensor.shape.begin(), tensor.shape.end()},
                               .bytes = bytes});
            continue;
        }
        // "0.gate_proj.weight", "0.up_proj.weight": in this order a stack has them.
        const std::string rest = tensor.name.substr(at + 9);
        const bool is_down = rest.find("down") != std::string::npos;
        const std::string stack =
            tensor.name.substr(0, at) + (is_down ? ".experts.down_proj" : ".experts.gate_up_proj");
        parts[stack][rest] = bytes;
        dtype = tensor.dtype;
        shapes[stack] = {(is_down ? 1U : 2U) * tensor.shape[0], tensor.shape[1]};
    }
    for (const auto& [name, bytes] : parts) {
        NamedBytes stack{.name = name,
                         .dtype = std::string(to_string(dtype)),
                         .shape = shapes[name],
                         .bytes = {}};
        for (const auto& [_, part] : bytes) {
            stack.bytes += part;
        }
        stack.shape.insert(
            stack.shape.begin(),
            stack.bytes.size() / (element_bytes(dtype) * stack.shape[0] * stack.shape[1]));
        tensors.push_back(std::move(stack));
    }
    std::ofstream(folder / "model.safetensors", std::ios::binary) << make_safetensors(tensors);
}

TEST_F(FitOfExperts, AStackGetsWhatItsExpertsWouldGetOneByOne) {
    use_random_pair("qwen3_moe_base", many_texts);
    const fs::path separate = make("separate", "0.3");
    stack_experts(separate);
    stack_experts(pre_);
    stack_experts(post_);
    EXPECT_EQ(tensor_digests(make("stacked", "0.3")), tensor_digests(separate));
}

TEST_F(FitOfExperts, ExpertsThatFewTokensReachStayPostsAndAreCounted) {
    // 8 texts of 8 predictions, 3 of 6 experts each: 32 on average.
    use_random_pair("qwen3_moe_base", 8);
    const fs::path out = folder_.path() / "out";
    const CommandResult result = restore({"--groups", "mlp", "--mu", "0.3", "--out", out.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("stay post's, having fewer than 32 predicting tokens"));
    const auto of_post = tensor_digests(post_);
    std::uint64_t left = 0;
    std::uint64_t all = 0;
    for (const auto& [name, digest] : tensor_digests(out)) {
        if (name.find(".experts.") != std::string::npos) {
            ++all;
            left += digest == of_post.at(name) ? 1 : 0;
        }
    }
    EXPECT_GT(left, 0U);
    EXPECT_LT(left, all);
    std::uint64_t counted = 0;
    const Json receipt = Json::parse(read_file(out / "anamnesis.json"));
    for (const Json& finding : receipt.at("findings").as_array("findings")) {
        if (finding.at("code").as_string("code") == "few_expert_inputs") {
            counted = finding.at("count").as_unsigned("count");
        }
    }
    // gate and up share their inputs, down has its own.
    EXPECT_EQ(3 * counted, 2 * left);
    const CommandResult strict =
        restore({"--groups", "mlp", "--strict", "--out", (folder_.path() / "strict").string()});
    EXPECT_EQ(strict.exit_code, 6);
    EXPECT_FALSE(fs::exists(folder_.path() / "strict"));
}

}  // namespace
}  // namespace anamnesis::testing
