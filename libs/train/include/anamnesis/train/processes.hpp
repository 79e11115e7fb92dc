// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace anamnesis::train {

/// The processes that train one model together, each on its share of a step's rows. This class is
/// a process alone; `launched_processes` gives those that a launcher started. All of them call the
/// same functions in the same order.
class Processes {
public:
    Processes() = default;
    Processes(const Processes&) = delete;
    Processes& operator=(const Processes&) = delete;
    virtual ~Processes() = default;

    virtual std::size_t rank() const noexcept { return 0; }
    virtual std::size_t count() const noexcept { return 1; }
    /// The one that writes.
    bool is_first() const noexcept { return rank() == 0; }

    /// True where `begin_sum` takes tensors of this device: always of the CPU, of CUDA devices in
    /// builds with NCCL.
    virtual bool sums_on(const at::Device& device) const { return device.is_cpu(); }
    /// Begins to sum a contiguous tensor, float32 or float64, over all processes, in place.
    virtual void begin_sum(const at::Tensor& /*values*/) {}
    /// Lets the sums that were begun go on.
    virtual void progress() {}
    /// Waits for them; where they are a device's, so does what the device is given from now on.
    virtual void finish_sums() {}
    /// The sums, and the highest values, over all processes, in place.
    virtual void sum(std::span<double> /*values*/) {}
    virtual void highest(std::span<double> /*values*/) {}

    /// True everywhere where it is true for one.
    bool any(bool mine);

    /// Does the work and waits until it is done everywhere. Where it fails in one process, all
    /// throw: that one its own error, of several the first, the others one of the same kind.
    void agree(const std::function<void()>& work);

    /// True where the error that was thrown last is another process's, which tells it.
    bool failed_elsewhere() const noexcept { return failed_elsewhere_; }

protected:
    /// True where all know of the failure, so that they end together.
    bool failed_together() const noexcept { return failed_together_; }

private:
    bool failed_elsewhere_ = false;
    bool failed_together_ = false;
};

/// Joins the processes that mpirun or srun started together with this one; a process alone where
/// none did. MPI is not initialised then.
/// Errors: `unsupported` where there are several and this build has no MPI.
std::unique_ptr<Processes> launched_processes();

}  // namespace anamnesis::train
