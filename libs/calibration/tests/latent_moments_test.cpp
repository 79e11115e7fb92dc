// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "calibrator.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::calibration {
namespace {

namespace fs = std::filesystem;

std::vector<language::SupervisedText> make_texts() {
    std::vector<language::SupervisedText> texts;
    for (std::int64_t t = 0; t < 4; ++t) {
        language::SupervisedText& text = texts.emplace_back();
        for (std::int64_t i = 0; i < 25; ++i) {
            text.ids.push_back((5 * i * i + 7 * t + i) % 43);
            text.labels.push_back(i % 4 == 1 || i > 18 ? text.ids.back() : language::unsupervised);
        }
    }
    return texts;
}

/// Post, and a copy in which the tensors of some names are three quarters of what they were.
class LatentPair : public ::testing::Test {
protected:
    void change(std::initializer_list<std::string_view> names) {
        fs::copy(model_, folder_.path() / "pre", fs::copy_options::recursive);
        const auto opened = checkpoint::Checkpoint::open(folder_.path() / "pre");
        for (const checkpoint::TensorEntry& tensor : opened.tensors()) {
            for (const std::string_view name : names) {
                if (tensor.name.find(name) == std::string::npos) {
                    continue;
                }
                std::vector<float> values(tensor.bytes / sizeof(float));
                tensor.read_at(0, std::as_writable_bytes(std::span(values)));
                for (std::size_t i = 0; i < values.size(); ++i) {
                    values[i] *= i % 3 == 0 ? 0.5F : 1.25F;
                }
                std::fstream file(opened.files()[tensor.file].path(),
                                  std::ios::binary | std::ios::in | std::ios::out);
                file.seekp(static_cast<std::streamoff>(tensor.offset));
                const auto bytes = std::as_bytes(std::span(values));
                // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
                file.write(reinterpret_cast<const char*>(bytes.data()),
                           static_cast<std::streamsize>(bytes.size()));
            }
        }
        pre_ = checkpoint::open_recognised(folder_.path() / "pre");
        post_ = checkpoint::open_recognised(model_);
        restore::Request request;
        request.selection.method = restore::Method::fit;
        request.selection.groups = {
            checkpoint::TensorGroup::q, checkpoint::TensorGroup::k, checkpoint::TensorGroup::v};
        request.fit.mus = {0.3};
        // Random weights, which no fine-tune made of the others.
        request.allowed = {restore::Allowance::rotary, restore::Allowance::unrelated};
        const restore::Plan plan = restore::make_plan(pre_, post_, request);
        const Watch watch;
        moments_ = Calibrator(plan, {.dtype = DType::f64}, watch)
                       .sum(restore::CalibrationSide::recall, make_texts())
                       .finish();
    }

    /// |Y - W_pre S| / |Y| of the rows of heads that begin `first` of `step` rows in the tensor.
    double compare(const char* part, const char* name, std::size_t first, std::size_t step) const {
        const restore::Moment moment = moments_.load(
            {.part = part, .side = restore::CalibrationSide::recall, .layer = LayerIndex(0)});
        const auto& entry =
            pre_.checkpoint.at("model.layers.0.self_attn." + std::string(name) + ".weight");
        std::vector<std::byte> bytes(entry.bytes);
        entry.read_at(0, bytes);
        linalg::Matrix weight(entry.rows(), entry.columns());
        widen(entry.dtype, bytes, weight.values());
        const std::size_t heads = entry.rows() / step;
        const std::size_t rows = moment.target.rows() / heads;
        double above = 0.0;
        for (std::size_t head = 0; head < heads; ++head) {
            const auto& inputs =
                moment.matrices.size() == 1 ? moment.matrices.front() : moment.matrices.at(head);
            const linalg::Matrix own =
                linalg::product(weight.view().row_block(head * step + first, rows), inputs);
            above += linalg::sum_of_squared_differences(
                own.view(), moment.target.view().row_block(head * rows, rows));
        }
        return std::sqrt(above / linalg::sum_of_squares(moment.target.view()));
    }

    const fs::path model_ = fs::path(ANAMNESIS_TESTDATA) / "models" / "deepseek_v3_base";
    testing::TemporaryFolder folder_;
    checkpoint::RecognisedCheckpoint pre_;
    checkpoint::RecognisedCheckpoint post_;
    restore::MomentSet moments_;
};

struct Sizes {
    std::size_t nope, rope, value;
};

Sizes read_sizes(const checkpoint::Checkpoint& checkpoint) {
    const auto size = [&](const char* key) {
        return static_cast<std::size_t>(checkpoint.config().at(key).as_unsigned(key));
    };
    return {size("qk_nope_head_dim"), size("qk_rope_head_dim"), size("v_head_dim")};
}

TEST_F(LatentPair, WithEqualLatentsTargetsAreWhatPresMatricesGive) {
    change({"q_b_proj", "kv_b_proj"});
    const auto [nope, rope, value] = read_sizes(post_.checkpoint);
    EXPECT_LE(compare("q_latent", "q_b_proj", 0, nope + rope), 1e-9);
    EXPECT_LE(compare("k_latent", "kv_b_proj", 0, nope + value), 1e-9);
    EXPECT_LE(compare("v_latent", "kv_b_proj", nope, nope + value), 1e-9);
}

TEST_F(LatentPair, OtherLatentsOfPreShowInTheTargetsAlone) {
    change({"q_a_proj", "kv_a_proj"});
    const auto [nope, rope, value] = read_sizes(post_.checkpoint);
    EXPECT_GE(compare("q_latent", "q_b_proj", 0, nope + rope), 1e-2);
    EXPECT_GE(compare("k_latent", "kv_b_proj", 0, nope + value), 1e-2);
}

}  // namespace
}  // namespace anamnesis::calibration
