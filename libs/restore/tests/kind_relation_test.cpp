// SPDX-License-Identifier: Apache-2.0
#include "kind_relation.hpp"

#include <cstddef>
#include <filesystem>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

TEST(KindRelation, NamesLayersThatAreOfAnotherKindInPost) {
    const fs::path source = fs::path(ANAMNESIS_TESTDATA) / "models/gemma3_odd";
    const auto pre = checkpoint::open_recognised(source);
    std::vector<checkpoint::Finding> findings;
    find_kind_relation(pre, pre, findings);
    EXPECT_TRUE(findings.empty());

    Json config = Json::parse(io::read_text(source / "config.json"));
    Json types = Json::array();
    for (std::size_t i = 0; i < pre.model.layers.size(); ++i) {
        types.push_back("full_attention");
    }
    config.set("layer_types", std::move(types));
    const testing::TemporaryFolder folder;
    folder.write("config.json", config.dump());
    fs::copy(source / "model.safetensors", folder.path() / "model.safetensors");
    find_kind_relation(pre, checkpoint::open_recognised(folder.path()), findings);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings.front().code, "layer_kinds_differ");
    EXPECT_EQ(findings.front().severity, checkpoint::Severity::warning);
    EXPECT_THAT(findings.front().sentence,
                ::testing::HasSubstr("is sliding in pre and full in post"));
}

}  // namespace
}  // namespace anamnesis::restore
