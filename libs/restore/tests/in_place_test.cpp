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

}  // namespace
}  // namespace anamnesis::restore
