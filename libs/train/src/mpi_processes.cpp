// SPDX-License-Identifier: Apache-2.0
#include "mpi_processes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/train/processes.hpp"

#include "nccl_sums.hpp"

#ifdef ANAMNESIS_HAS_MPI
// Of the C interface alone, by the libraries' own switches.
// NOLINTBEGIN(readability-identifier-naming)
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
// NOLINTEND(readability-identifier-naming)
#include <mpi.h>
#endif

namespace anamnesis::train {

#ifdef ANAMNESIS_HAS_MPI
namespace {

void check(int code, const char* call) {
    if (code == MPI_SUCCESS) {
        return;
    }
    std::string text(MPI_MAX_ERROR_STRING, '\0');
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    text.resize(static_cast<std::size_t>(length));
    throw Error(ErrorKind::internal, format("{}: {}", call, text));
}

class MpiProcesses final : public Processes {
public:
    MpiProcesses() {
        int provided = 0;
        // A device's gradients come from a thread of the library.
        check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided),
              "MPI_Init_thread");
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(MPI_COMM_WORLD, &count_), "MPI_Comm_size");
        exceptions_ = std::uncaught_exceptions();
    }
    MpiProcesses(const MpiProcesses&) = delete;
    MpiProcesses& operator=(const MpiProcesses&) = delete;

    ~MpiProcesses() override {
        // Others wait for a process that fails alone: it leaves without a word to them, and the
        // launcher ends them.
        if (std::uncaught_exceptions() == exceptions_ || failed_together()) {
            MPI_Finalize();
        }
    }

    std::size_t rank() const noexcept override { return static_cast<std::size_t>(rank_); }
    std::size_t count() const noexcept override { return static_cast<std::size_t>(count_); }

    bool sums_on(const at::Device& device) const override {
        return device.is_cpu() || (device.is_cuda() && NcclSums::is_built());
    }

    void begin_sum(const at::Tensor& values) override {
        ANAMNESIS_CHECK(
            sums_on(values.device()) && values.is_contiguous() &&
                (values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble),
            "values to sum over processes are float32 or float64, on a device that can be summed");
        if (values.is_cuda()) {
            on_devices(values.device()).begin(values);
            return;
        }
        constexpr std::int64_t most = std::int64_t{1} << 30;
        const bool is_double = values.scalar_type() == at::kDouble;
        auto* bytes = static_cast<std::byte*>(values.data_ptr());
        for (std::int64_t first = 0; first < values.numel(); first += most) {
            requests_.emplace_back();
            check(MPI_Iallreduce(MPI_IN_PLACE,
                                 bytes + static_cast<std::size_t>(first) * values.element_size(),
                                 static_cast<int>(std::min(most, values.numel() - first)),
                                 is_double ? MPI_DOUBLE : MPI_FLOAT,
                                 MPI_SUM,
                                 MPI_COMM_WORLD,
                                 &requests_.back()),
                  "MPI_Iallreduce");
        }
    }

    void progress() override {
        if (!requests_.empty()) {
            int done = 0;
            check(MPI_Testall(static_cast<int>(requests_.size()),
                              requests_.data(),
                              &done,
                              MPI_STATUSES_IGNORE),
                  "MPI_Testall");
        }
    }

    void finish_sums() override {
        check(
            MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE),
            "MPI_Waitall");
        requests_.clear();
        if (device_sums_) {
            device_sums_->finish();
        }
    }

    void sum(std::span<double> values) override { reduce(values, MPI_SUM); }
    void highest(std::span<double> values) override { reduce(values, MPI_MAX); }

private:
    NcclSums& on_devices(const at::Device& device) {
        if (!device_sums_) {
            device_sums_ =
                std::make_unique<NcclSums>(device, rank(), count(), [](std::span<std::byte> bytes) {
                    check(MPI_Bcast(bytes.data(),
                                    static_cast<int>(bytes.size()),
                                    MPI_BYTE,
                                    0,
                                    MPI_COMM_WORLD),
                          "MPI_Bcast");
                });
        }
        return *device_sums_;
    }

    static void reduce(std::span<double> values, MPI_Op operation) {
        check(MPI_Allreduce(MPI_IN_PLACE,
                            values.data(),
                            static_cast<int>(values.size()),
                            MPI_DOUBLE,
                            operation,
                            MPI_COMM_WORLD),
              "MPI_Allreduce");
    }

    int rank_ = 0;
    int count_ = 1;
    int exceptions_ = 0;
    std::vector<MPI_Request> requests_;
    std::unique_ptr<NcclSums> device_sums_;  ///< from the first sum on a device on
};

}  // namespace

std::unique_ptr<Processes> join_mpi() {
    return std::make_unique<MpiProcesses>();
}
#else
std::unique_ptr<Processes> join_mpi() {
    throw Error(ErrorKind::unsupported,
                "several processes were launched, and this build has no MPI: install "
                "libopenmpi-dev and build again, or start one");
}
#endif

}  // namespace anamnesis::train
