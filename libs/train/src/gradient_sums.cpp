// SPDX-License-Identifier: Apache-2.0
#include "gradient_sums.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/processes.hpp"

namespace anamnesis::train {
namespace {

at::ScalarType precise_type(const at::Tensor& parameter) {
    return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

/// Told when the gradient of a parameter has been added to.
struct GradientSums::Hook final : torch::autograd::PostAccumulateGradHook {
    Hook(GradientSums& sums, std::size_t bucket, std::size_t member)
        : sums_(sums), bucket_(bucket), member_(member) {}
    void operator()(const at::Tensor& /*parameter*/) override { sums_.take(bucket_, member_); }

private:
    GradientSums& sums_;
    std::size_t bucket_;
    std::size_t member_;
};

GradientSums::GradientSums(const NamedTensors& parameters,
                           const std::vector<std::string>& order,
                           Processes& processes,
                           std::int64_t values_of_bucket)
    : processes_(processes) {
    for (auto name = order.rbegin(); name != order.rend(); ++name) {
        const at::Tensor& parameter = parameters.at(*name);
        if (!parameter.requires_grad()) {
            continue;
        }
        const bool begins =
            buckets_.empty() || buckets_.back().values >= values_of_bucket ||
            precise_type(buckets_.back().members.front().parameter) != precise_type(parameter);
        Bucket& bucket = begins ? buckets_.emplace_back() : buckets_.back();
        bucket.members.push_back({.name = *name, .parameter = parameter, .offset = bucket.values});
        bucket.values += parameter.numel();
    }
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        std::vector<Member>& members = buckets_[b].members;
        for (std::size_t m = 0; m < members.size(); ++m) {
            members[m].offset += std::ssize(members);
            torch::autograd::impl::set_post_acc_grad_hooks(members[m].parameter,
                                                           std::make_unique<Hook>(*this, b, m));
        }
        const at::Tensor& first = members.front().parameter;
        buckets_[b].sum =
            at::zeros({std::ssize(members) + buckets_[b].values},
                      at::TensorOptions(precise_type(first))
                          .device(processes.sums_on(first.device()) ? first.device() : at::kCPU));
    }
}

GradientSums::~GradientSums() {
    for (const Bucket& bucket : buckets_) {
        for (const Member& member : bucket.members) {
            torch::autograd::impl::set_post_acc_grad_hooks(member.parameter, nullptr);
        }
    }
}

void GradientSums::watch() {
    is_watching_ = true;
}

void GradientSums::take(std::size_t bucket, std::size_t member) {
    if (!is_watching_) {
        return;
    }
    buckets_[bucket].members[member].is_whole = true;
    while (begun_ < buckets_.size() &&
           std::ranges::all_of(buckets_[begun_].members, &Member::is_whole)) {
        begin_next();
    }
    processes_.progress();
}

/// Packs the gradients of a bucket; what has none counts as zero.
void GradientSums::begin_next() {
    const at::NoGradGuard no_gradients;
    Bucket& bucket = buckets_[begun_++];
    bucket.sum.zero_();
    for (std::size_t m = 0; m < bucket.members.size(); ++m) {
        const Member& member = bucket.members[m];
        const at::Tensor& gradient = member.parameter.grad();
        if (gradient.defined()) {
            bucket.sum[static_cast<std::int64_t>(m)] = 1.0;
            bucket.sum.narrow(0, member.offset, gradient.numel())
                .view(gradient.sizes())
                .copy_(gradient);
        }
    }
    processes_.begin_sum(bucket.sum);
}

NamedTensors GradientSums::finish() {
    const at::NoGradGuard no_gradients;
    while (begun_ < buckets_.size()) {
        begin_next();
    }
    processes_.finish_sums();
    NamedTensors sums;
    for (Bucket& bucket : buckets_) {
        const at::Tensor holders =
            bucket.sum.narrow(0, 0, std::ssize(bucket.members)).to(at::kCPU, at::kDouble);
        for (std::size_t m = 0; m < bucket.members.size(); ++m) {
            Member& member = bucket.members[m];
            member.is_whole = false;
            member.parameter.mutable_grad().reset();
            if (holders.const_data_ptr<double>()[m] > 0.0) {
                sums.emplace(member.name,
                             bucket.sum.narrow(0, member.offset, member.parameter.numel())
                                 .view(member.parameter.sizes())
                                 .to(member.parameter.device()));
            }
        }
    }
    begun_ = 0;
    is_watching_ = false;
    return sums;
}

}  // namespace anamnesis::train
