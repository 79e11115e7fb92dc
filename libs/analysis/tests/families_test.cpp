// SPDX-License-Identifier: Apache-2.0
// What is measured of a model, for every family that runs.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/analysis/embedding_correlation.hpp"
#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "tiny_models.hpp"

namespace anamnesis::analysis {
namespace {

namespace fs = std::filesystem;

class Families : public ::testing::TestWithParam<std::string> {
protected:
    /// Measures, or is refused by name.
    static void expect_measured_or_refused(const std::function<void()>& measure) {
        try {
            measure();
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
        }
    }

    runtime::Network network = [] {
        const auto files =
            checkpoint::Checkpoint::open(fs::path(ANAMNESIS_TESTDATA) / "models" / GetParam());
        return runtime::load_network(
            files, checkpoint::recognise(files), {.dtype = DType::f32, .threads = 1});
    }();
    LabelledText text = [] {
        LabelledText made{.ids = std::vector<std::int64_t>(24)};
        std::iota(made.ids.begin(), made.ids.end(), 8);
        made.labels = made.ids;
        return made;
    }();
};

INSTANTIATE_TEST_SUITE_P(Models,
                         Families,
                         ::testing::ValuesIn(testing::list_tiny_models()),
                         [](const auto& instance) { return instance.param; });

TEST_P(Families, AreMeasuredOrRefusedByName) {
    const EmbeddingCorrelation correlation(network, {&text, 1});
    EXPECT_EQ(correlation.sums(text.ids).size(), text.ids.size());
    expect_measured_or_refused(
        [&] { EXPECT_FALSE(attention_statistics(network, text.ids, {}).empty()); });
    expect_measured_or_refused([&] {
        const LogitGradients measured = logit_gradients(network, text, {.weight = 1.0});
        EXPECT_FALSE(measured.layers.empty());
        EXPECT_TRUE(std::isfinite(measured.loss));
    });
}

}  // namespace
}  // namespace anamnesis::analysis
