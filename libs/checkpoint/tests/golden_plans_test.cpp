// SPDX-License-Identifier: Apache-2.0
// Every checkpoint of testdata/surgery against its plan.json, which was proven row by row.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

using Ranges = std::vector<RowRange>;

fs::path surgery() {
    return fs::path(ANAMNESIS_TESTDATA) / "surgery";
}

std::vector<std::string> families() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(surgery())) {
        if (fs::exists(entry.path() / "plan.json")) {
            names.push_back(entry.path().filename().string());
        }
    }
    std::ranges::sort(names);
    return names;
}

Ranges ranges_from(const Json& list) {
    Ranges ranges;
    for (const Json& range : list.as_array("ranges")) {
        const auto& ends = range.as_array("range");
        ranges.push_back({ends[0].as_unsigned("begin"), ends[1].as_unsigned("end")});
    }
    return ranges;
}

/// Rows of one role, neighbours merged.
Ranges find_ranges(const AttentionTensor& tensor, RowRole role) {
    Ranges ranges;
    for (const RowBlock& block : tensor.blocks) {
        if (block.role != role) {
            continue;
        }
        if (!ranges.empty() && ranges.back().end == block.rows.begin) {
            ranges.back().end = block.rows.end;
        } else {
            ranges.push_back(block.rows);
        }
    }
    return ranges;
}

/// Rows of one role, head by head; nothing where a block belongs to no head.
std::optional<std::vector<Ranges>> find_heads(const AttentionTensor& tensor, RowRole role) {
    std::map<std::uint32_t, Ranges> heads;
    for (const RowBlock& block : tensor.blocks) {
        if (block.role == role) {
            if (!block.head) {
                return std::nullopt;
            }
            heads[*block.head].push_back(block.rows);
        }
    }
    if (heads.empty()) {
        return std::nullopt;
    }
    std::vector<Ranges> list;
    for (auto& [head, ranges] : heads) {
        EXPECT_EQ(head, list.size()) << tensor.name;
        list.push_back(std::move(ranges));
    }
    return list;
}

std::optional<std::vector<Ranges>> heads_from(const Json* value) {
    if (value == nullptr) {
        return std::nullopt;
    }
    std::vector<Ranges> heads;
    for (const Json& head : value->as_array("heads")) {
        heads.push_back(ranges_from(head));
    }
    return heads;
}

std::set<std::string> find_needs(const AttentionTensor& tensor) {
    std::set<std::string> needs;
    if (tensor.kind == LayerKind::sliding) {
        needs.insert("sliding");
    }
    if (tensor.group == AttentionGroup::norm) {
        needs.insert("norms");
    }
    if (tensor.group == AttentionGroup::adapter) {
        needs.insert("adapters");
    }
    if (tensor.is_draft_head) {
        needs.insert("mtp");
    }
    return needs;
}

void expect_cover(const AttentionTensor& tensor) {
    std::uint64_t row = 0;
    for (const RowBlock& block : tensor.blocks) {
        EXPECT_EQ(block.rows.begin, row) << tensor.name;
        EXPECT_LT(block.rows.begin, block.rows.end) << tensor.name;
        row = block.rows.end;
    }
    EXPECT_EQ(row, tensor.rows) << tensor.name;
}

void expect_entry(const Json& entry, const AttentionTensor& tensor) {
    SCOPED_TRACE(tensor.name);
    const Json& layer = entry.at("layer");
    EXPECT_EQ(layer.is_null(), !tensor.layer.has_value());
    if (!layer.is_null()) {
        EXPECT_EQ(layer.as_unsigned("layer"), tensor.layer->value);
    }
    EXPECT_EQ(entry.at("kind").as_string("kind"), to_string(tensor.kind));
    EXPECT_EQ(entry.at("group").as_string("group"), to_string(tensor.group));
    EXPECT_EQ(entry.at("rows").as_unsigned("rows"), tensor.rows);
    EXPECT_EQ(ranges_from(entry.at("q")), find_ranges(tensor, RowRole::query));
    EXPECT_EQ(ranges_from(entry.at("k")), find_ranges(tensor, RowRole::key));
    EXPECT_EQ(ranges_from(entry.at("v")), find_ranges(tensor, RowRole::value));
    const Json* other = entry.find("other");
    for (const auto& [name, role] :
         {std::pair{"gate", RowRole::gate}, std::pair{"latent", RowRole::latent}}) {
        const Json* rows = other == nullptr ? nullptr : other->find(name);
        EXPECT_EQ(rows == nullptr ? Ranges{} : ranges_from(*rows), find_ranges(tensor, role))
            << name;
    }
    EXPECT_EQ(heads_from(entry.find("q_heads")), find_heads(tensor, RowRole::query));
    EXPECT_EQ(heads_from(entry.find("k_heads")), find_heads(tensor, RowRole::key));
    std::set<std::string> needs;
    for (const Json& need : entry.at("needs").as_array("needs")) {
        needs.insert(need.as_string("need"));
    }
    EXPECT_EQ(needs, find_needs(tensor));
    std::vector<LayerIndex> shared_by;
    if (const Json* users = entry.find("shared_by")) {
        for (const Json& user : users->as_array("shared_by")) {
            shared_by.emplace_back(static_cast<std::uint32_t>(user.as_unsigned("layer")));
        }
    }
    EXPECT_EQ(shared_by, tensor.shared_by);
    expect_cover(tensor);
}

/// Rows of a scale tensor follow from the rows of its weight.
void expect_scale(const Json& entry, const Checkpoint& checkpoint, const Model& model) {
    std::string name = entry.at("tensor").as_string("tensor");
    const std::string scale_name = name;
    name.resize(name.size() - std::string_view("_scale_inv").size());
    const auto scale = find_scale(checkpoint, name);
    ASSERT_TRUE(scale) << name;
    EXPECT_EQ(scale->tensor->name, scale_name);
    EXPECT_EQ(scale->tensor->rows(), entry.at("rows").as_unsigned("rows"));
    const AttentionTensor* weight = model.find_attention(name);
    ASSERT_NE(weight, nullptr) << name;
    for (const auto& [key, role] : {std::pair{"q", RowRole::query},
                                    std::pair{"k", RowRole::key},
                                    std::pair{"v", RowRole::value}}) {
        Ranges expected = find_ranges(*weight, role);
        for (RowRange& range : expected) {
            EXPECT_EQ(range.begin % scale->rows_per_block, 0U);
            range.begin /= scale->rows_per_block;
            range.end /= scale->rows_per_block;
        }
        EXPECT_EQ(ranges_from(entry.at(key)), expected) << scale_name;
    }
}

class GoldenPlan : public ::testing::TestWithParam<std::string> {
protected:
    GoldenPlan()
        : folder_(surgery() / GetParam()),
          plan_(Json::parse(io::read_text(folder_ / "plan.json"))) {}

    fs::path folder_;
    Json plan_;
};

TEST_P(GoldenPlan, GivesTheKindsOfEveryLayer) {
    for (const char* side : {"pre", "post"}) {
        const Checkpoint checkpoint = Checkpoint::open(folder_ / side);
        const Model model = recognise(checkpoint);
        EXPECT_EQ(plan_.at("model_type").as_string("model_type") == "qwen3_5" &&
                          model.model_type == "qwen3_5_text"
                      ? "qwen3_5"
                      : model.model_type,
                  plan_.at("model_type").as_string("model_type"));
        const auto& layers = plan_.at("layers").as_array("layers");
        ASSERT_EQ(layers.size(), model.layers.size());
        for (std::size_t i = 0; i < layers.size(); ++i) {
            std::vector<std::string> expected;
            for (const Json& kind : layers[i].at("kinds").as_array("kinds")) {
                expected.push_back(kind.as_string("kind"));
            }
            std::vector<std::string> found;
            for (const LayerKind kind : model.layers[i].kinds) {
                found.emplace_back(to_string(kind));
            }
            EXPECT_EQ(expected, found) << "layer " << i;
        }
        EXPECT_EQ(layers_of_config(checkpoint.config()).size(), layers.size());
    }
}

TEST_P(GoldenPlan, ListsEveryTensorWithItsRows) {
    const Checkpoint checkpoint = Checkpoint::open(folder_ / "post");
    const Model model = recognise(checkpoint);
    std::set<std::string> listed;
    for (const Json& entry : plan_.at("entries").as_array("entries")) {
        if (entry.at("group").as_string("group") == "scale") {
            expect_scale(entry, checkpoint, model);
            continue;
        }
        const std::string& name = entry.at("tensor").as_string("tensor");
        listed.insert(name);
        const AttentionTensor* tensor = model.find_attention(name);
        ASSERT_NE(tensor, nullptr) << name;
        expect_entry(entry, *tensor);
    }
    for (const AttentionTensor& tensor : model.attention) {
        EXPECT_TRUE(listed.contains(tensor.name)) << tensor.name << " is not in the plan";
    }
    const Json& heads = plan_.at("heads");
    ASSERT_TRUE(model.heads);
    EXPECT_EQ(model.heads->query_heads, heads.at("query").as_unsigned("query"));
    EXPECT_EQ(model.heads->kv_heads, heads.at("key").as_unsigned("key"));
}

TEST_P(GoldenPlan, PairsTensorsOfPreAndPostByCanonicalName) {
    const Model pre = recognise(Checkpoint::open(folder_ / "pre"));
    const Model post = recognise(Checkpoint::open(folder_ / "post"));
    EXPECT_EQ(pre.family, post.family);
    EXPECT_EQ(pre.heads, post.heads);
    EXPECT_EQ(pre.rotary, post.rotary);
    EXPECT_EQ(pre.position.rope_scaling, post.position.rope_scaling);
    std::map<std::string, const AttentionTensor*> by_name;
    for (const AttentionTensor& tensor : pre.attention) {
        by_name[tensor.canonical_name] = &tensor;
    }
    EXPECT_EQ(by_name.size(), pre.attention.size());
    for (const Json& entry : plan_.at("entries").as_array("entries")) {
        if (entry.at("group").as_string("group") == "scale") {
            continue;
        }
        const std::string& name = entry.at("tensor").as_string("tensor");
        const Json* other = entry.find("pre_tensor");
        const std::string expected = other == nullptr ? name : other->as_string("pre_tensor");
        const AttentionTensor* tensor = post.find_attention(name);
        ASSERT_NE(tensor, nullptr);
        EXPECT_EQ(canonical_name(name), tensor->canonical_name);
        const auto found = by_name.find(tensor->canonical_name);
        ASSERT_NE(found, by_name.end()) << name;
        EXPECT_EQ(found->second->name, expected);
        EXPECT_EQ(found->second->rows, tensor->rows);
    }
}

TEST_P(GoldenPlan, IsVerifiedAndWarnsOnlyOfDraftHeads) {
    const Model model = recognise(Checkpoint::open(folder_ / "post"));
    EXPECT_EQ(model.evidence, "verified");
    EXPECT_EQ(model.vocab_size, 97U);
    for (const std::string& warning : list_sentences(model.findings)) {
        EXPECT_NE(warning.find("draft head"), std::string::npos) << warning;
    }
}

INSTANTIATE_TEST_SUITE_P(Families,
                         GoldenPlan,
                         ::testing::ValuesIn(families()),
                         [](const auto& family) { return family.param; });

TEST(GoldenPlans, CoverEveryFamilyOfTheFolder) {
    EXPECT_EQ(families().size(), 30U);
}

}  // namespace
}  // namespace anamnesis::checkpoint
