// SPDX-License-Identifier: Apache-2.0
#include "gradient_sums.hpp"

#include <cstddef>
#include <vector>

#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/processes.hpp"

namespace anamnesis::train {
namespace {

/// Two processes with the same gradients: a sum is twice what one has.
class Twins final : public Processes {
public:
    std::size_t count() const noexcept override { return 2; }
    void begin_sum(const at::Tensor& values) override { begun_.push_back(values); }
    void finish_sums() override {
        for (at::Tensor& values : begun_) {
            values.mul_(2.0);
        }
        begun_.clear();
    }

    std::size_t waiting() const { return begun_.size(); }

private:
    std::vector<at::Tensor> begun_;
};

at::Tensor leaf(double value) {
    return (at::ones({3}) * value).requires_grad_(true);
}

TEST(GradientSums, AddUpOverProcessesBucketByBucket) {
    const NamedTensors parameters{{"a", leaf(1.0)}, {"b", leaf(2.0)}, {"c", leaf(3.0)}};
    Twins processes;
    GradientSums sums(parameters, {"a", "b", "c"}, processes, /*values_of_bucket=*/3);
    for (int step = 0; step < 2; ++step) {
        sums.watch();
        (parameters.at("a") * parameters.at("b")).sum().backward();
        // c, which is used last, has no gradient, so its bucket and those after it wait.
        EXPECT_EQ(processes.waiting(), 0U);
        const NamedTensors all = sums.finish();
        ASSERT_EQ(all.size(), 2U);
        EXPECT_TRUE(all.at("a").equal(at::ones({3}) * 4.0));
        EXPECT_TRUE(all.at("b").equal(at::ones({3}) * 2.0));
        EXPECT_FALSE(parameters.at("a").grad().defined());
    }
}

TEST(GradientSums, BeginWhileTheBackwardPassGoesOn) {
    const NamedTensors parameters{{"a", leaf(1.0)}, {"b", leaf(2.0)}};
    Twins processes;
    GradientSums sums(parameters, {"a", "b"}, processes, /*values_of_bucket=*/3);
    sums.watch();
    (parameters.at("a") * parameters.at("b")).sum().backward();
    EXPECT_EQ(processes.waiting(), 2U);
    EXPECT_EQ(sums.finish().size(), 2U);
}

}  // namespace
}  // namespace anamnesis::train
