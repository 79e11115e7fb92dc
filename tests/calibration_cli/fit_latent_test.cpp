// SPDX-License-Identifier: Apache-2.0
//
// restore --method fit of multi-head latent attention, end to end.
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/safetensors.hpp"

#include "fit_command.hpp"
#include "run_command.hpp"
#include "tensor_digests.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FitOfLatents : public Fit {};

bool is_fitted(const std::string& name) {
    return name.find("q_b_proj") != std::string::npos || name.find("q_proj") != std::string::npos ||
           name.find("kv_b_proj") != std::string::npos;
}

bool makes_latents(const std::string& name) {
    return name.find("q_a_proj") != std::string::npos ||
           name.find("kv_a_proj") != std::string::npos;
}

TEST_F(FitOfLatents, WhatReadsLatentsIsFittedAndWhatMakesThemStays) {
    for (const char* model : {"deepseek_v2_base",
                              "deepseek_v3_base",
                              "kimi_linear_hub_config",
                              "bailing_hybrid_hub_config"}) {
        SCOPED_TRACE(model);
        use_random_pair(model, 20);
        const auto of_post = tensor_digests(post_);
        const fs::path none = folder_.path() / "none";
        const fs::path moments = folder_.path() / "moments";
        for (const fs::path& folder : {none, out_, moments}) {
            fs::remove_all(folder);
        }
        ASSERT_EQ(restore({"--groups", "q,k,v", "--mu", "inf", "--out", none.string()}).exit_code,
                  0);
        EXPECT_EQ(tensor_digests(none), of_post);
        const CommandResult result = restore({"--groups",
                                              "q,k,v",
                                              "--mu",
                                              "0.3",
                                              "--out",
                                              out_.string(),
                                              "--moments",
                                              moments.string()});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        std::size_t fitted = 0;
        for (const auto& [name, digest] : tensor_digests(out_)) {
            EXPECT_TRUE(!makes_latents(name) || digest == of_post.at(name)) << name;
            fitted += digest == of_post.at(name) ? 0 : 1;
            EXPECT_TRUE(digest == of_post.at(name) || is_fitted(name)) << name;
        }
        EXPECT_GE(fitted, 2U);
        const CommandResult proof = verify(out_, {"--moments", moments.string()});
        EXPECT_EQ(proof.exit_code, 0) << proof.output;
        const Json json = Json::parse(proof.output);
        EXPECT_EQ(json.at("rows_recomputed").as_unsigned("rows"),
                  json.at("rows_computed").as_unsigned("rows"));
        EXPECT_GT(json.at("rows_recomputed").as_unsigned("rows"), 0U);
    }
}

// Then pre's whole path gives what its matrix gives on post's latents.
TEST_F(FitOfLatents, WithEqualLatentsTheLimitIsPre) {
    use_random_pair("deepseek_v3_base", 40);
    // Post's own tensors but for those that read latents.
    const auto file = formats::SafetensorsFile::open(pre_ / "model.safetensors");
    const auto of_post = formats::SafetensorsFile::open(post_ / "model.safetensors");
    std::vector<NamedBytes> tensors;
    for (const formats::TensorInfo& tensor : of_post.tensors()) {
        tensors.push_back({.name = tensor.name,
                           .dtype = std::string(to_string(tensor.dtype)),
                           .shape = {tensor.shape.begin(), tensor.shape.end()},
                           .bytes = read_bytes(of_post, tensor)});
    }
    for (const formats::TensorInfo& tensor : file.tensors()) {
        if (is_fitted(tensor.name)) {
            for (NamedBytes& one : tensors) {
                if (one.name == tensor.name) {
                    one.bytes = read_bytes(file, tensor);
                }
            }
        }
    }
    std::ofstream(pre_ / "model.safetensors", std::ios::binary) << make_safetensors(tensors);
    ASSERT_EQ(restore({"--groups", "q,k,v", "--mu", "0", "--out", out_.string()}).exit_code, 0);
    const auto pre = checkpoint::Checkpoint::open(pre_);
    const auto post = checkpoint::Checkpoint::open(post_);
    const auto out = checkpoint::Checkpoint::open(out_);
    for (const checkpoint::TensorEntry& tensor : out.tensors()) {
        if (!is_fitted(tensor.name)) {
            continue;
        }
        const auto read = [&](const checkpoint::Checkpoint& from) {
            std::vector<std::byte> bytes(tensor.bytes);
            from.at(tensor.name).read_at(0, bytes);
            std::vector<double> values(count_elements(tensor.dtype, tensor.bytes));
            widen(tensor.dtype, bytes, values);
            return values;
        };
        const auto wanted = read(pre);
        const auto ours = read(out);
        const auto before = read(post);
        double above = 0.0;
        double below = 0.0;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            above += std::pow(ours[i] - wanted[i], 2);
            below += std::pow(before[i] - wanted[i], 2);
        }
        EXPECT_GT(below, 0.0) << tensor.name;
        EXPECT_LE(std::sqrt(above / below), 1e-2) << tensor.name;
    }
}

TEST_F(FitOfLatents, CentredKeysAreRefused) {
    use_random_pair("deepseek_v3_base");
    const CommandResult result = restore({"--keys", "centred", "--out", out_.string()});
    EXPECT_EQ(result.exit_code, 5) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("--keys attention alone"));
    EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace anamnesis::testing
