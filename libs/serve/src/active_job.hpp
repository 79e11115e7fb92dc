// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "channel.hpp"
#include "job.hpp"
#include "metrics.hpp"

namespace anamnesis::serve {

/// Memory that a job may take, given back at its end.
class Reservation {
public:
    /// `total` is the sum of all, and outlives them.
    Reservation(std::uint64_t& total, std::uint64_t bytes) : total_(&total), bytes_(bytes) {
        *total_ += bytes_;
    }
    ~Reservation() { *total_ -= bytes_; }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

private:
    std::uint64_t* total_;
    std::uint64_t bytes_;
};

/// A job that the model works on. Its answers share it.
struct ActiveJob {
    ActiveJob(Job described, std::uint64_t& reserved_total, std::uint64_t bytes)
        : job(std::move(described)), memory(reserved_total, bytes) {}

    Job job;
    Reservation memory;

    bool is_cancelled() const { return job.channel->is_closed(); }
};

}  // namespace anamnesis::serve
