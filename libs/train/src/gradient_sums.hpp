// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/processes.hpp"

namespace anamnesis::train {

/// Sums the gradients of all processes, in buckets whose sums begin while the backward pass goes
/// on. Buckets hold parameters in the reverse of the order in which they are used, and begin in
/// that order everywhere.
/// Source: Li et al. 2020, "PyTorch Distributed".
class GradientSums {
public:
    /// Gradients are those of `parameters`; `order` names them as they are used.
    GradientSums(const NamedTensors& parameters,
                 const std::vector<std::string>& order,
                 Processes& processes,
                 std::int64_t values_of_bucket);
    GradientSums(const GradientSums&) = delete;
    GradientSums& operator=(const GradientSums&) = delete;
    ~GradientSums();

    /// To be called before this process's last backward pass of a step: what it makes is whole.
    void watch();

    /// Begins what has not begun, waits, and gives the sums, in float32 or better, of all
    /// parameters that have a gradient in any process; the parameters have none then.
    NamedTensors finish();

private:
    struct Member {
        std::string name;
        at::Tensor parameter;
        std::int64_t offset = 0;
        bool is_whole = false;
    };
    /// Before the values comes how many processes have a gradient, one number a member.
    struct Bucket {
        std::vector<Member> members{};
        std::int64_t values = 0;
        at::Tensor sum{};
    };
    struct Hook;

    void take(std::size_t bucket, std::size_t member);
    void begin_next();

    Processes& processes_;
    std::vector<Bucket> buckets_;
    std::size_t begun_ = 0;
    bool is_watching_ = false;
};

}  // namespace anamnesis::train
