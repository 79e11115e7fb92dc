// SPDX-License-Identifier: Apache-2.0
#include "nccl_sums.hpp"

#include <cstddef>

#include "anamnesis/base/error.hpp"

#ifdef ANAMNESIS_HAS_NCCL
#include <memory>
#include <span>

#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <nccl.h>

#include "anamnesis/base/text.hpp"
#endif

namespace anamnesis::train {

#ifdef ANAMNESIS_HAS_NCCL
namespace {

void check(ncclResult_t result, const char* call) {
    if (result != ncclSuccess) {
        throw Error(ErrorKind::internal,
                    format("{}: {}; every process needs a device of its own (NCCL_DEBUG=WARN says "
                           "more)",
                           call,
                           ncclGetErrorString(result)));
    }
}

}  // namespace

struct NcclSums::Parts {
    explicit Parts(at::Device of_this_process)
        : device(of_this_process),
          guard(device.type()),
          beside(guard.getStreamFromGlobalPool(device)),
          ready(device.type()),
          done(device.type()) {}

    at::Device device;
    c10::impl::VirtualGuardImpl guard;
    c10::Stream beside;  ///< where the sums run
    c10::Event ready;    ///< what is to be summed is there
    c10::Event done;
    ncclComm_t communicator = nullptr;
};

bool NcclSums::is_built() noexcept {
    return true;
}

NcclSums::NcclSums(at::Device device,
                   std::size_t rank,
                   std::size_t count,
                   const Broadcast& from_the_first)
    : parts_(std::make_unique<Parts>(device)) {
    ncclUniqueId id{};
    if (rank == 0) {
        check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    }
    from_the_first(std::as_writable_bytes(std::span(&id, 1)));
    const c10::DeviceGuard on_device(device);
    check(ncclCommInitRank(
              &parts_->communicator, static_cast<int>(count), id, static_cast<int>(rank)),
          "ncclCommInitRank");
}

NcclSums::~NcclSums() {
    if (parts_->communicator != nullptr) {
        // Not Destroy, which waits for the others: one of them may have failed.
        ncclCommAbort(parts_->communicator);
    }
}

void NcclSums::begin(const at::Tensor& values) {
    Parts& parts = *parts_;
    const c10::DeviceGuard on_device(parts.device);
    parts.ready.record(parts.guard.getStream(parts.device));
    parts.ready.block(parts.beside);
    check(ncclAllReduce(values.const_data_ptr(),
                        values.mutable_data_ptr(),
                        static_cast<std::size_t>(values.numel()),
                        values.scalar_type() == at::kDouble ? ncclDouble : ncclFloat,
                        ncclSum,
                        parts.communicator,
                        static_cast<cudaStream_t>(parts.beside.native_handle())),
          "ncclAllReduce");
}

void NcclSums::finish() {
    Parts& parts = *parts_;
    const c10::DeviceGuard on_device(parts.device);
    parts.done.record(parts.beside);
    parts.done.block(parts.guard.getStream(parts.device));
}
#else
struct NcclSums::Parts {};

bool NcclSums::is_built() noexcept {
    return false;
}

NcclSums::NcclSums(at::Device /*device*/,
                   std::size_t /*rank*/,
                   std::size_t /*count*/,
                   const Broadcast& /*from_the_first*/) {
    throw Error(ErrorKind::unsupported, "this build has no NCCL");
}

NcclSums::~NcclSums() = default;
void NcclSums::begin(const at::Tensor& /*values*/) {}
void NcclSums::finish() {}
#endif

}  // namespace anamnesis::train
