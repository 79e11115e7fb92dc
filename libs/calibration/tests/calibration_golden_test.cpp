// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "calibrator.hpp"
#include "demo_pair.hpp"
#include "moment_sums.hpp"
#include "refit.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::calibration {
namespace {

namespace fs = std::filesystem;

const fs::path testdata = ANAMNESIS_TESTDATA;
const fs::path goldens = testdata / "fit" / "moments";

/// The pair that ships with the demo, as folders.
class DemoPair : public ::testing::Test {
protected:
    DemoPair() {
        testing::write_demo_pair(folder_.path());
        pre_ = checkpoint::open_recognised(folder_.path() / "pre");
        post_ = checkpoint::open_recognised(folder_.path() / "post");
        job_.recall = read_calibration_texts(goldens / "recall.jsonl", post_.checkpoint, {});
        job_.chains = read_calibration_texts(goldens / "chains.jsonl", post_.checkpoint, {});
        job_.running.dtype = DType::f32;
    }

    restore::Plan make_plan(const char* groups,
                            restore::KeyInputs keys,
                            double mu,
                            std::uint32_t rounds) const {
        restore::Request request;
        request.selection.method = restore::Method::fit;
        for (const char* group = groups; *group != 0; ++group) {
            request.selection.groups.insert(
                *checkpoint::find_tensor_group(std::string_view(group, 1)));
        }
        request.fit = {.mus = {mu}, .keys = keys, .rounds = rounds, .calibration = {}};
        return restore::make_plan(pre_, post_, request);
    }

    testing::TemporaryFolder folder_;
    checkpoint::RecognisedCheckpoint pre_;
    checkpoint::RecognisedCheckpoint post_;
    CalibrationJob job_;
};

/// The tensors of a golden file in float64.
std::vector<double> read_golden(const std::string& file, const std::string& name) {
    static std::map<std::string, checkpoint::Checkpoint> opened;
    const auto found = opened.try_emplace(file, checkpoint::Checkpoint::open(goldens / file)).first;
    const checkpoint::TensorEntry& entry = found->second.at(name);
    std::vector<std::byte> bytes(entry.bytes);
    entry.read_at(0, bytes);
    std::vector<double> values(count_elements(entry.dtype, entry.bytes));
    widen(entry.dtype, bytes, values);
    return values;
}

std::vector<double> list_values(const restore::Moment& moment) {
    std::vector<double> values;
    for (const linalg::Matrix& matrix : moment.matrices) {
        values.insert(values.end(), matrix.values().begin(), matrix.values().end());
    }
    return values;
}

std::vector<double> list_values(const at::Tensor& tensor) {
    const at::Tensor host = tensor.to(at::kCPU, at::kDouble).contiguous();
    const auto* first = host.const_data_ptr<double>();
    return {first, first + host.numel()};
}

/// |a - b| / |b - c|; with no c, relative to b itself.
double find_distance(const std::vector<double>& a,
                     const std::vector<double>& b,
                     const std::vector<double>& c = {}) {
    EXPECT_EQ(a.size(), b.size());
    double above = 0.0;
    double below = 0.0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const double base = c.empty() ? b[i] : b[i] - c[i];
        above += (a[i] - b[i]) * (a[i] - b[i]);
        below += base * base;
    }
    return std::sqrt(above / below);
}

/// With bfloat16 weights they are of rounded inputs, which says as little of the last digits as the
/// pass itself.
TEST_F(DemoPair, MomentsInBfloat16AreNearThoseInFloat32) {
    restore::Plan exact = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    calibrate(exact, job_, Watch());
    job_.running.dtype = DType::bf16;
    restore::Plan rounded = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    calibrate(rounded, job_, Watch());
    for (const restore::MomentKey& key : exact.moments.front()->list_keys()) {
        const restore::Moment wanted = exact.moments.front()->load(key);
        const restore::Moment found = rounded.moments.front()->load(key);
        EXPECT_EQ(found.counts, wanted.counts) << to_string(key);
        const double distance = find_distance(list_values(found), list_values(wanted));
        EXPECT_GT(distance, 0.0) << to_string(key);
        EXPECT_LT(distance, 0.02) << to_string(key);
        for (const linalg::Matrix& matrix : found.matrices) {
            EXPECT_EQ(matrix(0, matrix.columns() - 1), matrix(matrix.rows() - 1, 0));
        }
    }
}

TEST_F(DemoPair, MomentsAreTheGoldenOnes) {
    for (const restore::KeyInputs keys :
         {restore::KeyInputs::attention, restore::KeyInputs::centred}) {
        restore::Plan plan = make_plan("qkvo", keys, 0.3, 0);
        calibrate(plan, job_, Watch());
        const auto& moments = dynamic_cast<const restore::MomentSet&>(*plan.moments.front());
        EXPECT_EQ(moments.all().size(), 16U);
        for (const auto& [key, moment] : moments.all()) {
            if (key.is_held_back) {
                continue;
            }
            const std::string name = restore::to_string(key);
            EXPECT_LE(find_distance(list_values(moment), read_golden("moments.safetensors", name)),
                      1e-5)
                << name;
        }
    }
}

TEST_F(DemoPair, MomentsInTemporaryFilesAreTheSame) {
    const testing::TemporaryFolder temporary;
    ::setenv("TMPDIR", temporary.path().c_str(), 1);
    restore::Plan in_memory = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    restore::Plan in_files = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    calibrate(in_memory, job_, Watch());
    job_.most_moment_bytes = 0;
    calibrate(in_files, job_, Watch());
    ::unsetenv("TMPDIR");
    EXPECT_TRUE(fs::is_empty(temporary.path())) << "files have no name, so that nothing is left";
    const restore::MomentSource& held = *in_memory.moments.front();
    const restore::MomentSource& spilled = *in_files.moments.front();
    EXPECT_EQ(dynamic_cast<const restore::MomentSet*>(&spilled), nullptr);
    ASSERT_EQ(spilled.list_keys(), held.list_keys());
    for (const restore::MomentKey& key : held.list_keys()) {
        EXPECT_EQ(list_values(spilled.load(key)), list_values(held.load(key)))
            << restore::to_string(key);
        EXPECT_EQ(spilled.load_counts(key), held.load_counts(key));
    }
    restore::MomentKey missing = held.list_keys().front();
    missing.part = "nothing";
    EXPECT_FALSE(spilled.has(missing));
    EXPECT_THROW(spilled.load(missing), Error);
}

TEST_F(DemoPair, RepairsAreTheGoldenOnes) {
    const Json runs = Json::parse(io::read_text(goldens / "case.json")).at("runs");
    for (const Json& run : runs.as_array("runs")) {
        const std::string name = run.at("name").as_string("name");
        SCOPED_TRACE(name);
        const Json& flags = run.at("flags");
        const auto rounds = static_cast<std::uint32_t>(flags.at("rounds").as_unsigned("rounds"));
        const double mu = flags.at("mu").as_double("mu");
        const bool is_centred = flags.at("keys").as_string("keys") == "centred";
        restore::Plan plan =
            make_plan(flags.at("groups").as_string("groups").c_str(),
                      is_centred ? restore::KeyInputs::centred : restore::KeyInputs::attention,
                      mu,
                      rounds);
        const Watch watch;
        const Calibrator calibrator(plan, job_.running, watch);
        MomentSums first = calibrator.sum(restore::CalibrationSide::recall, job_.recall.texts);
        first.add(calibrator.sum(restore::CalibrationSide::chains, job_.chains.texts));
        std::vector<at::Tensor> weights;
        const auto moments = refit(calibrator, first, job_.chains.texts, mu, rounds, &weights);
        for (std::size_t round = 0; round < weights.size(); ++round) {
            EXPECT_LE(find_distance(list_values(weights[round]),
                                    read_golden("refit_weights.safetensors",
                                                format("{}.weights.round{}", name, round + 1))),
                      1e-3);
        }
        const auto repaired = calibrator.make_repair(*moments, mu, /*is_rounded=*/true);
        const auto exact = calibrator.make_repair(*moments, mu, /*is_rounded=*/false);
        const auto of_post = calibrator.make_repair(
            *moments, std::numeric_limits<double>::infinity(), /*is_rounded=*/false);
        ASSERT_EQ(repaired.size(), flags.at("groups").as_string("groups").size());
        for (const auto& [tensor, values] : repaired) {
            SCOPED_TRACE(tensor);
            EXPECT_LE(
                find_distance(list_values(exact.at(tensor)),
                              read_golden("repaired.safetensors", name + ".float64." + tensor),
                              list_values(of_post.at(tensor))),
                1e-3);
            const auto ours = list_values(values);
            const auto expected = read_golden("repaired.safetensors", name + ".bf16." + tensor);
            std::size_t equal = 0;
            for (std::size_t i = 0; i < ours.size(); ++i) {
                equal += ours[i] == expected[i] ? 1 : 0;
            }
            EXPECT_GE(static_cast<double>(equal),
                      (rounds == 0 ? 0.99 : 0.95) * static_cast<double>(ours.size()));
        }
    }
}

TEST_F(DemoPair, MuIsChosenOnChainsThatAreHeldBack) {
    restore::Plan plan = make_plan("qk", restore::KeyInputs::attention, 0.3, 0);
    job_.chooses_mu = true;
    calibrate(plan, job_, Watch());
    ASSERT_EQ(plan.request.fit.mus.size(), 1U);
    const Json& curve = plan.request.fit.calibration.at("auto");
    EXPECT_EQ(curve.at("held_back_chains").as_unsigned("held_back_chains"), 32U);
    const auto& tried = curve.at("tried").as_array("tried");
    EXPECT_EQ(tried.back().at("mu").as_double("mu"), plan.request.fit.mus.front());
    EXPECT_EQ(curve.at("chosen").as_double("chosen"), plan.request.fit.mus.front());
    const auto right = [](const Json& line) {
        return line.at("right_chains").as_unsigned("right_chains");
    };
    for (std::size_t i = 0; i + 1 < tried.size(); ++i) {
        EXPECT_LT(right(tried[i]) * 100, 99 * right(curve.at("post")));
    }
    if (tried.size() < std::size(tried_mus)) {
        EXPECT_GE(right(tried.back()) * 100, 99 * right(curve.at("post")));
    }
    // The moments are those of all chains.
    restore::Plan all = make_plan("qk", restore::KeyInputs::attention, 0.3, 0);
    job_.chooses_mu = false;
    calibrate(all, job_, Watch());
    const restore::MomentKey key{
        .part = "q", .side = restore::CalibrationSide::chains, .layer = LayerIndex(2)};
    EXPECT_LE(find_distance(list_values(plan.moments.front()->load(key)),
                            list_values(all.moments.front()->load(key))),
              1e-12);
}

// The moments of every eighth text alone, by another way.
TEST_F(DemoPair, WhatIsHeldBackIsTheMomentOfEveryEighthText) {
    restore::Plan plan = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    calibrate(plan, job_, Watch());
    CalibrationJob few = job_;
    for (CalibrationTexts* side : {&few.recall, &few.chains}) {
        std::vector<language::SupervisedText> eighths;
        for (std::size_t i = 0; i < side->texts.size(); i += 8) {
            eighths.push_back(side->texts[i]);
        }
        side->texts = std::move(eighths);
    }
    restore::Plan of_few = make_plan("qkvo", restore::KeyInputs::attention, 0.3, 0);
    calibrate(of_few, few, Watch());
    const auto& alone = dynamic_cast<const restore::MomentSet&>(*of_few.moments.front());
    EXPECT_EQ(alone.all().size(), 8U);
    for (const auto& [key, moment] : alone.all()) {
        restore::MomentKey apart = key;
        apart.is_held_back = true;
        const restore::Moment held_back = plan.moments.front()->load(apart);
        EXPECT_LE(find_distance(list_values(held_back), list_values(moment)), 1e-12)
            << to_string(key);
        EXPECT_EQ(held_back.counts, moment.counts);
    }
}

TEST_F(DemoPair, RefusesTextsThatCannotCalibrate) {
    restore::Plan plan = make_plan("qk", restore::KeyInputs::attention, 0.3, 0);
    const auto expect_refusal = [&](const CalibrationJob& job, ErrorKind kind) {
        try {
            calibrate(plan, job, Watch());
            ADD_FAILURE() << "nothing was refused";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), kind) << error.what();
        }
    };
    CalibrationJob foreign = job_;
    foreign.recall.texts[3].ids[7] = 100'000;
    expect_refusal(foreign, ErrorKind::mismatch);
    CalibrationJob negative = job_;
    negative.chains.texts[0].ids[0] = -1;
    expect_refusal(negative, ErrorKind::mismatch);
    CalibrationJob silent = job_;
    for (language::SupervisedText& text : silent.chains.texts) {
        std::ranges::fill(text.labels, language::unsupervised);
    }
    expect_refusal(silent, ErrorKind::mismatch);
}

}  // namespace
}  // namespace anamnesis::calibration
