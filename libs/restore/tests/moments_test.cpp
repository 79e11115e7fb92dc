// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/moments.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

#include "golden_files.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

const MomentKey of_queries{.part = "q", .side = CalibrationSide::recall, .layer = LayerIndex(3)};
const MomentKey of_keys{
    .part = "k_attention", .side = CalibrationSide::chains, .layer = LayerIndex(3)};
const MomentKey of_tokens{
    .part = "embedding", .side = CalibrationSide::chains, .layer = std::nullopt};
const MomentKey of_head{.part = "head", .side = CalibrationSide::recall, .layer = std::nullopt};

MomentSet make_set() {
    MomentSet set;
    Moment one;
    one.matrices.push_back(random_rows(4, 4, 1));
    Moment two;
    two.matrices.push_back(random_rows(5, 5, 2));
    two.matrices.push_back(random_rows(5, 5, 3));
    two.counts = {7, 0};
    set.set(of_queries, one);
    set.set(of_keys, std::move(two));
    set.set(of_head, std::move(one));
    MomentKey held_back = of_queries;
    held_back.is_held_back = true;
    set.set(held_back,
            {.matrices = {random_rows(4, 4, 5)}, .target = random_rows(7, 4, 6), .counts = {2}});
    set.set(of_tokens, {.diagonal = {0.0, 3.0, 1.0}, .counts = {4}});
    return set;
}

TEST(Moments, AreNamedAsTheirFilesNameThem) {
    EXPECT_EQ(to_string(of_queries), "q.S_R.3");
    EXPECT_EQ(to_string(of_keys), "k_attention.S_C.3");
    EXPECT_EQ(to_string(of_head), "head.S_R");
}

TEST(Moments, ComeBackFromAFileBitForBit) {
    const testing::TemporaryFolder folder;
    const fs::path path = folder.path() / "moments.safetensors";
    const MomentSet set = make_set();
    write_moments(path, set, Json::Object{{"what", "a test"}});
    const MomentFile file = MomentFile::open(path);
    EXPECT_EQ(file.description().at("what").as_string("what"), "a test");
    EXPECT_EQ(file.list_names().size(), 9U);  // five moments, counts of three, a target
    EXPECT_EQ(file.list_keys(), set.list_keys());
    for (const auto& [key, moment] : set.all()) {
        ASSERT_TRUE(file.has(key));
        const Moment read = file.load(key);
        EXPECT_EQ(read.counts, moment.counts);
        EXPECT_EQ(read.diagonal, moment.diagonal);
        EXPECT_TRUE(std::ranges::equal(read.target.values(), moment.target.values()));
        EXPECT_EQ(file.load_counts(key), moment.counts);
        ASSERT_EQ(read.matrices.size(), moment.matrices.size());
        for (std::size_t i = 0; i < read.matrices.size(); ++i) {
            const auto values = read.matrices[i].values();
            const auto expected = moment.matrices[i].values();
            EXPECT_TRUE(std::equal(values.begin(), values.end(), expected.begin(), expected.end()));
        }
    }
    MomentKey missing = of_keys;
    missing.layer = LayerIndex(7);
    EXPECT_FALSE(file.has(missing));
    EXPECT_THROW(static_cast<void>(file.load(missing)), Error);
    EXPECT_THROW(static_cast<void>(set.load(missing)), Error);
}

TEST(Moments, RefuseFilesOfSomethingElse) {
    const fs::path solve = fs::path(ANAMNESIS_TESTDATA) / "fit" / "solve" / "full_f32.safetensors";
    EXPECT_THROW(static_cast<void>(MomentFile::open(solve)), Error);
    const testing::TemporaryFolder folder;
    const fs::path path = folder.path() / "moments.safetensors";
    write_moments(path, make_set(), Json::object());
    std::ifstream file(path, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), {}};
    // Cut anywhere it is no file of moments any more.
    for (std::size_t size = 0; size + 1 < whole.size(); size += 97) {
        const fs::path cut = folder.write("cut.safetensors", whole.substr(0, size));
        EXPECT_THROW(static_cast<void>(MomentFile::open(cut)), Error) << size;
    }
}

}  // namespace
}  // namespace anamnesis::restore
