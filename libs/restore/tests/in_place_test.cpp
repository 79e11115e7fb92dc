// SPDX-License-Identifier: Apache-2.0
//
// What a repair in place and its undoing tell of themselves; tests/crash has the crashes, tests/cli
// the bytes.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::forged_llama;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Phases as they are told; one thread tells them here.
class PhaseRecorder final : public Progress {
public:
    struct Phase {
        std::string name{};
        std::uint64_t total = 0;
        ProgressUnit unit = ProgressUnit::steps;
        std::uint64_t done = 0;
        bool is_finished = false;
    };

    void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) override {
        phases.push_back({.name = std::string(phase), .total = total, .unit = unit});
    }
    void advance(std::uint64_t count) override { phases.back().done += count; }
    void finish() override { phases.back().is_finished = true; }

    std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const Phase& phase : phases) {
            names.push_back(phase.name);
        }
        return names;
    }

    std::vector<Phase> phases{};
};

class InPlace : public ::testing::Test {
protected:
    InPlace() {
        forged_llama().write(pre_, 1);
        forged_llama().write(post_, 2);
        before_ = testing::snapshot(post_.path());
    }

    Result repair(const Execution& execution = {}) const {
        const auto pre = checkpoint::open_recognised(pre_.path());
        const auto post = checkpoint::open_recognised(post_.path());
        Request request;
        request.allowed = {Allowance::unrelated};  // as forged weights are
        return write_in_place(make_plan(pre, post, request), execution);
    }

    /// As a process leaves it that ends between two rows: the first layer as it was, the second one
    /// repaired, and no receipt. The bytes that the repair was to write.
    std::uint64_t interrupt() const {
        const std::uint64_t bytes = repair().bytes_written;
        fs::remove(post_.path() / receipt_name);
        const auto post = checkpoint::Checkpoint::open(post_.path());
        const std::uint64_t second = post.at("model.layers.1.self_attn.q_proj.weight").offset;
        std::fstream file(post_.path() / "model.safetensors",
                          std::ios::binary | std::ios::in | std::ios::out);
        file.write(before_.at("model.safetensors").data(), static_cast<std::streamsize>(second));
        return bytes;
    }

    TemporaryFolder pre_;
    TemporaryFolder post_;
    std::map<std::string, std::string> before_{};
};

TEST_F(InPlace, AnInterruptedRepairIsUndoneInAPhaseOfThatName) {
    const std::uint64_t bytes = interrupt();
    ASSERT_NE(testing::snapshot(post_.path()), before_);
    PhaseRecorder told;
    const Result result = undo_in_place(post_.path(), {.watch = Watch(told, {})});
    EXPECT_EQ(testing::snapshot(post_.path()), before_) << "every byte is back, nothing is left";
    ASSERT_THAT(told.names(), ElementsAre("undoing"));
    const PhaseRecorder::Phase& phase = told.phases.front();
    EXPECT_EQ(phase.total, bytes);
    EXPECT_EQ(phase.done, bytes);
    EXPECT_EQ(phase.unit, ProgressUnit::bytes);
    EXPECT_TRUE(phase.is_finished);
    EXPECT_EQ(result.bytes_written, bytes);
}

TEST_F(InPlace, ARepairOverAnInterruptedOneUndoesThatFirst) {
    static_cast<void>(repair());
    const std::string repaired = testing::read_file(post_.path() / "model.safetensors");
    static_cast<void>(undo_in_place(post_.path(), {}));
    const std::uint64_t bytes = interrupt();
    PhaseRecorder told;
    const Result result = repair({.watch = Watch(told, {})});
    EXPECT_THAT(told.names(), ElementsAre("undoing", "repairing in place"));
    EXPECT_EQ(told.phases.front().total, bytes);
    EXPECT_EQ(told.phases.front().done, bytes);
    EXPECT_THAT(result.notes, Contains(HasSubstr("was undone first")));
    EXPECT_EQ(testing::read_file(post_.path() / "model.safetensors"), repaired);
}

TEST_F(InPlace, AVariantIsUndoneByTheIndexThatItWasRepairedBy) {
    const TemporaryFolder folder;
    forged_llama().write_sharded(folder, 2, 2);
    const fs::path plain = folder.path() / "model.safetensors.index.json";
    std::string index = testing::read_file(plain);
    for (const std::string shard : {"-00001-of-00002.safetensors", "-00002-of-00002.safetensors"}) {
        fs::rename(folder.path() / ("model" + shard), folder.path() / ("model.fp16" + shard));
    }
    for (auto at = index.find("model-"); at != std::string::npos; at = index.find("model-")) {
        index.replace(at, 6, "model.fp16-");
    }
    fs::remove(plain);
    const fs::path variant = folder.write("model.fp16.safetensors.index.json", index);
    const auto before = testing::snapshot(folder.path());
    const auto pre = checkpoint::open_recognised(pre_.path());
    const auto post = checkpoint::open_recognised(variant);
    EXPECT_FALSE(post.checkpoint.config().is_null()) << "the config beside it is its own";
    Request request;
    request.allowed = {Allowance::unrelated};
    const Result result = write_in_place(make_plan(pre, post, request), {});
    EXPECT_THAT(result.notes, Contains(HasSubstr("anamnesis undo " + variant.string())));
    EXPECT_NE(testing::snapshot(folder.path()), before);
    static_cast<void>(undo_in_place(variant, {}));
    EXPECT_EQ(testing::snapshot(folder.path()), before);
}

TEST_F(InPlace, AnIndexThatIsBrokenByNowStillNamesWhatIsUndone) {
    const TemporaryFolder folder;
    forged_llama().write_sharded(folder, 2, 2);
    const fs::path index = folder.path() / "model.safetensors.index.json";
    const auto before = testing::snapshot(folder.path());
    const auto pre = checkpoint::open_recognised(pre_.path());
    const auto post = checkpoint::open_recognised(index);
    Request request;
    request.allowed = {Allowance::unrelated};
    static_cast<void>(write_in_place(make_plan(pre, post, request), {}));
    const std::string text = testing::read_file(index);
    folder.write("model.safetensors.index.json", "{");
    static_cast<void>(undo_in_place(index, {}));
    folder.write("model.safetensors.index.json", text);
    EXPECT_EQ(testing::snapshot(folder.path()), before);
}

/// Two files in the folder of post, which are repaired and undone by their names.
class TwoFilesInPlace : public InPlace {
protected:
    TwoFilesInPlace() {
        a_ = post_.write("a.safetensors", testing::forge_safetensors(forged_llama().tensors, 3));
        b_ = post_.write("b c.safetensors", testing::forge_safetensors(forged_llama().tensors, 4));
        before_ = testing::snapshot(post_.path());
    }

    Result repair_file(const fs::path& file) const {
        const auto pre = checkpoint::open_recognised(pre_.path());
        const auto post = checkpoint::open_recognised(file);
        Request request;
        request.allowed = {Allowance::unrelated};
        return write_in_place(make_plan(pre, post, request), {});
    }

    bool is_as_before(const fs::path& file) const {
        return testing::read_file(file) == before_.at(file.filename().string());
    }

    fs::path a_;
    fs::path b_;
};

TEST_F(TwoFilesInPlace, EachHasAnUndoFileOfItsOwn) {
    static_cast<void>(repair_file(a_));
    const Result second = repair_file(b_);
    EXPECT_FALSE(is_as_before(a_));
    EXPECT_FALSE(is_as_before(b_));
    EXPECT_EQ(second.path, b_);
    EXPECT_THAT(second.notes, Contains(HasSubstr("anamnesis undo '" + b_.string() + "'")));
    static_cast<void>(undo_in_place(a_, {}));
    EXPECT_TRUE(is_as_before(a_));
    EXPECT_FALSE(is_as_before(b_));
    EXPECT_THROW(undo_in_place(a_, {}), Error);
    static_cast<void>(undo_in_place(b_, {}));
    EXPECT_EQ(testing::snapshot(post_.path()), before_);
}

TEST_F(TwoFilesInPlace, AFileIsRepairedAgainByAnotherSpellingOfItsPath) {
    static_cast<void>(repair_file(a_));
    const Result again = repair_file(post_.path() / "." / "a.safetensors");
    EXPECT_THAT(again.notes, Contains(HasSubstr("was undone first")));
    static_cast<void>(undo_in_place(a_, {}));
    EXPECT_EQ(testing::snapshot(post_.path()), before_);
}

TEST_F(TwoFilesInPlace, AFolderWaitsForTheUndoingOfItsFiles) {
    fs::remove(post_.path() / "model.safetensors");
    const fs::path shards[]{post_.path() / "model-00001-of-00002.safetensors",
                            post_.path() / "model-00002-of-00002.safetensors"};
    fs::remove(a_);
    fs::remove(b_);
    forged_llama().write_sharded(post_, 2, 5);
    fs::copy_file(shards[0], fs::path(shards[0]) += ".anamnesis.undo");
    try {
        static_cast<void>(repair());
        FAIL() << "a file of the folder is repaired";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("was repaired in place by itself"));
    }
}

TEST_F(TwoFilesInPlace, TheFolderAndItsModelAreOneCheckpoint) {
    static_cast<void>(repair_file(post_.path() / "model.safetensors"));
    EXPECT_TRUE(has_undo(post_.path()));
    EXPECT_FALSE(has_undo(a_)) << "the undo file of the folder is of another file";
    EXPECT_THROW(undo_in_place(a_, {}), Error);
    static_cast<void>(undo_in_place(post_.path(), {}));
    EXPECT_EQ(testing::snapshot(post_.path()), before_);
}

TEST_F(TwoFilesInPlace, ARepairAsTheFolderIsUndoneByTheNameOfItsFile) {
    fs::remove(post_.path() / "model.safetensors");
    fs::remove(b_);
    before_ = testing::snapshot(post_.path());
    static_cast<void>(repair());
    static_cast<void>(undo_in_place(a_, {}));
    EXPECT_EQ(testing::snapshot(post_.path()), before_);
    static_cast<void>(repair_file(a_));
    static_cast<void>(undo_in_place(post_.path(), {}));
    EXPECT_EQ(testing::snapshot(post_.path()), before_);
}

}  // namespace
}  // namespace anamnesis::restore
