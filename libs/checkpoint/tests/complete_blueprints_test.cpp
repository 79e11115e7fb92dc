// SPDX-License-Identifier: Apache-2.0
// Blueprints of the families that run, against checkpoints that the families' own code wrote.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/io/file.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Every folder that holds a checkpoint of a family that runs: of testdata, and of the collection
/// beside the project, where it is.
std::vector<fs::path> complete_checkpoints() {
    const fs::path testdata(ANAMNESIS_TESTDATA);
    std::vector<fs::path> candidates;
    for (const fs::path& models :
         {testdata / "models",
          testdata.parent_path().parent_path() / "shared/data/golden/models"}) {
        if (!fs::exists(models)) {
            continue;
        }
        for (const auto& entry : fs::directory_iterator(models)) {
            candidates.push_back(entry.path());
        }
    }
    for (const auto& entry : fs::directory_iterator(fs::path(ANAMNESIS_TESTDATA) / "surgery")) {
        candidates.push_back(entry.path() / "pre");
        candidates.push_back(entry.path() / "post");
    }
    std::erase_if(candidates, [](const fs::path& folder) {
        try {
            return !fs::exists(folder / "config.json") ||
                   !make_blueprint(Json::parse_python(io::read_text(folder / "config.json")))
                        .is_complete;
        } catch (const Error&) {
            return true;  // of a family that is not here
        }
    });
    std::ranges::sort(candidates);
    return candidates;
}

std::string name_of_case(const ::testing::TestParamInfo<fs::path>& info) {
    const bool is_beside = info.param.string().find("shared/data/golden") != std::string::npos;
    std::string name = (is_beside ? "shared_" : "") + info.param.parent_path().filename().string() +
                       "_" + info.param.filename().string();
    std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

class CompleteBlueprint : public ::testing::TestWithParam<fs::path> {
protected:
    CompleteBlueprint()
        : checkpoint_(Checkpoint::open(GetParam())),
          blueprint_(make_blueprint(checkpoint_.config())) {}

    /// Tables that a library saves though they follow from the config (MiniMax).
    static bool is_table(const std::string& name) {
        return name.ends_with("_decay") || name.ends_with("slope_rate");
    }

    /// Text tensors by canonical name; draft heads and vision towers are not the text model's.
    std::map<std::string, Shape> stored() const {
        std::map<std::string, Shape> tensors;
        for (const TensorEntry& tensor : checkpoint_.tensors()) {
            const std::string name = canonical_name(tensor.name);
            if (!name.starts_with("mtp.") && !name.starts_with("visual.") &&
                !name.starts_with("vision_tower.") && !name.starts_with("multi_modal_") &&
                !name.ends_with("_scale_inv") && !is_table(name)) {
                tensors[name] = tensor.shape;
            }
        }
        return tensors;
    }

    /// True where the layer's experts are stored in the other way.
    bool is_stacked(LayerIndex layer) const {
        const std::map<std::string, Shape> all = stored();
        return std::ranges::any_of(blueprint_.tensors, [&](const PlannedTensor& tensor) {
            return tensor.layer == layer && tensor.storage == Storage::stacked &&
                   all.contains(tensor.name);
        });
    }

    Checkpoint checkpoint_;
    Blueprint blueprint_;
};

TEST_P(CompleteBlueprint, PlansEveryTensorWithItsShapeAndNoOther) {
    std::map<std::string, Shape> left = stored();
    for (const PlannedTensor& tensor : blueprint_.tensors) {
        auto found = left.find(tensor.name);
        for (const std::string& other : tensor.other_names) {
            found = found == left.end() ? left.find(other) : found;
        }
        if (tensor.presence == Presence::absent) {
            EXPECT_TRUE(found == left.end()) << tensor.name;
        } else if (found == left.end()) {
            EXPECT_TRUE(tensor.presence == Presence::optional ||
                        tensor.storage == Storage::stacked ||
                        (tensor.storage == Storage::separate && is_stacked(*tensor.layer)))
                << tensor.name << " is missing";
        } else {
            std::vector<Shape> shapes = tensor.other_shapes;
            shapes.push_back(tensor.shape);
            EXPECT_THAT(shapes, Contains(found->second)) << tensor.name;
            left.erase(found);
        }
    }
    for (const auto& [name, shape] : left) {
        ADD_FAILURE() << name << " " << anamnesis::to_string(shape) << " is not planned";
    }
}

TEST_P(CompleteBlueprint, GivesEveryTensorOneNameAndOneRoleInItsLayer) {
    std::set<std::string> names;
    std::set<std::pair<std::optional<LayerIndex>, std::string>> roles;
    for (const PlannedTensor& tensor : blueprint_.tensors) {
        EXPECT_FALSE(tensor.role.empty()) << tensor.name;
        EXPECT_TRUE(names.insert(tensor.name).second) << tensor.name;
        EXPECT_TRUE(roles.emplace(tensor.layer, tensor.role).second) << tensor.name;
        EXPECT_EQ(blueprint_.find_named(tensor.name), &tensor);
        EXPECT_EQ(blueprint_.find(tensor.layer, tensor.role), &tensor);
    }
}

TEST_P(CompleteBlueprint, PutsTensorsIntoTheGroupsThatTheirNamesTell) {
    const Model model = recognise(checkpoint_);
    Model unplanned = model;
    unplanned.blueprint = nullptr;
    for (const TensorEntry& tensor : checkpoint_.tensors()) {
        EXPECT_EQ(classify_tensor(model, tensor.name), classify_tensor(unplanned, tensor.name))
            << tensor.name;
    }
}

TEST_P(CompleteBlueprint, HasASpecForEveryLayer) {
    EXPECT_FALSE(blueprint_.obstacle);
    ASSERT_EQ(blueprint_.specs.size(), blueprint_.layers.size());
    for (std::size_t i = 0; i < blueprint_.layers.size(); ++i) {
        EXPECT_EQ(is_softmax(blueprint_.specs[i].mixer), blueprint_.layers[i].is_softmax());
        EXPECT_FALSE(std::holds_alternative<UnknownFeedForward>(blueprint_.specs[i].feed_forward));
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints,
                         CompleteBlueprint,
                         ::testing::ValuesIn(complete_checkpoints()),
                         name_of_case);

TEST(CompleteBlueprints, CoverEveryFamilyThatRuns) {
    std::set<std::string> families;
    for (const fs::path& folder : complete_checkpoints()) {
        families.insert(
            make_blueprint(Json::parse_python(io::read_text(folder / "config.json"))).family);
    }
    EXPECT_THAT(families_that_run(), ::testing::ElementsAreArray(families));
}

fs::path golden(const char* name) {
    return fs::path(ANAMNESIS_TESTDATA) / "models" / name;
}

TEST(IncompleteBlueprints, SayWhyAModelCannotRunAndKeepItsRows) {
    Json config = Json::parse(io::read_text(golden("hypenet_base") / "config.json"));
    config.set("lightning_use_short_conv", true);
    const Blueprint blueprint = make_blueprint(config);
    ASSERT_TRUE(blueprint.obstacle);
    EXPECT_EQ(blueprint.obstacle->kind(), ErrorKind::unsupported);
    EXPECT_THAT(blueprint.obstacle->message(), HasSubstr("'lightning_use_short_conv'"));
    EXPECT_FALSE(blueprint.is_complete);
    EXPECT_NE(blueprint.find_named("layers.1.self_attn.q_proj.weight"), nullptr);
    EXPECT_EQ(blueprint.find_named("layers.1.mlp.up_proj.weight"), nullptr);
}

TEST(IncompleteBlueprints, BoundWhatAConfigAsksFor) {
    Json config = Json::parse(io::read_text(golden("qwen3_moe_base") / "config.json"));
    for (const char* key : {"num_experts", "num_local_experts"}) {
        config.set(key, 16'000'000);
    }
    const Blueprint blueprint = make_blueprint(config);
    ASSERT_TRUE(blueprint.obstacle);
    EXPECT_EQ(blueprint.obstacle->kind(), ErrorKind::malformed);
    EXPECT_THAT(blueprint.obstacle->message(), HasSubstr("tensors"));
}

/// The tiny HypeNet with a part of its names rewritten in the header, so that bytes stay in place.
std::vector<std::string> warnings_after_renaming(const std::string& from, const std::string& to) {
    const testing::TemporaryFolder folder;
    const fs::path source = golden("hypenet_base");
    folder.write("config.json", io::read_text(source / "config.json"));
    std::string bytes = io::read_text(source / "model.safetensors");
    for (std::size_t at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at)) {
        bytes.replace(at, from.size(), to);
    }
    folder.write("model.safetensors", bytes);
    return list_sentences(recognise(Checkpoint::open(folder.path())).findings);
}

TEST(PlanWarnings, NameBiasesOfWhichTheConfigSaysThatThereAreNone) {
    const testing::TemporaryFolder folder;
    const fs::path source = golden("falcon_h1_odd");
    std::string config = io::read_text(source / "config.json");
    const std::string stated = "\"mlp_bias\": true";
    config.replace(config.find(stated), stated.size(), "\"mlp_bias\": false");
    folder.write("config.json", config);
    folder.write("model.safetensors", io::read_text(source / "model.safetensors"));
    const Model model = recognise(Checkpoint::open(folder.path()));
    EXPECT_THAT(list_sentences(model.findings),
                Contains(AllOf(HasSubstr("has no use for tensors"),
                               HasSubstr("feed_forward.down_proj.bias"))));
    EXPECT_THAT(list_sentences(recognise(Checkpoint::open(source)).findings), IsEmpty());
}

TEST(PlanWarnings, NameMissingAndUnusedTensors) {
    EXPECT_THAT(list_sentences(recognise(Checkpoint::open(golden("hypenet_base"))).findings),
                IsEmpty());
    EXPECT_THAT(
        warnings_after_renaming("layers.0.mlp.up_proj", "layers.0.mlp.ab_proj"),
        ElementsAre(
            "the checkpoint lacks tensor 'model.layers.0.mlp.up_proj.weight'",
            "the family 'hypenet' has no use for tensor 'model.layers.0.mlp.ab_proj.weight'"));
    EXPECT_THAT(warnings_after_renaming("mlp.up_proj", "mlp.ab_proj"),
                ElementsAre(AllOf(HasSubstr("'model.layers.2.mlp.up_proj.weight' and 2 more"),
                                  HasSubstr("lacks tensors")),
                            HasSubstr("'model.layers.2.mlp.ab_proj.weight' and 2 more")));
}

}  // namespace
}  // namespace anamnesis::checkpoint
