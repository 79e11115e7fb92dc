// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/model_spec.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Describe, SaysThatARoutingFileMakesNoModelRun) {
    const testing::TemporaryFolder folder;
    const auto routing = folder.write("routing.json", R"({
        "anamnesis_routing": 1, "family": "qwen3", "layers": 2, "softmax_layers": [0, 1],
        "head_dim": 16, "tensors": [
            {"name": "model.layers.{layer}.self_attn.q_proj.weight",
             "layout": [{"role": "query", "rows": 16, "heads": 6}]},
            {"name": "model.layers.{layer}.self_attn.k_proj.weight",
             "layout": [{"role": "key", "rows": 16, "heads": 2}]}]})");
    const auto path = std::filesystem::path(ANAMNESIS_TESTDATA) / "models" / "qwen3_base";
    const auto plain = checkpoint::open_recognised(path);
    EXPECT_NO_THROW(describe(plain.checkpoint, plain.model));
    const auto stated = checkpoint::open_recognised(path, {}, {.routing = routing});
    try {
        describe(stated.checkpoint, stated.model);
        FAIL() << "a model without a plan was described";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("'qwen3'"), HasSubstr("--routing")));
    }
}

}  // namespace
}  // namespace anamnesis::runtime
