// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/processes.hpp"

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <span>

#include <c10/util/Exception.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/launcher.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/device.hpp"

#include "mpi_processes.hpp"

namespace anamnesis::train {
namespace {

ErrorKind to_error_kind(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        return error.kind();
    } catch (const c10::Error& error) {
        return runtime::to_error(error).kind();
    } catch (const std::bad_alloc&) {
        return ErrorKind::exhausted;
    } catch (...) {
        return ErrorKind::internal;
    }
}

}  // namespace

bool Processes::any(bool mine) {
    std::array<double, 1> value{mine ? 1.0 : 0.0};
    highest(value);
    return value[0] > 0.0;
}

void Processes::agree(const std::function<void()>& work) {
    std::exception_ptr failure;
    try {
        work();
    } catch (...) {
        if (failed_together_) {
            throw;  // known everywhere already
        }
        failure = std::current_exception();
    }
    // The lowest rank that failed is the highest distance to the end.
    std::array<double, 1> first{failure ? static_cast<double>(count() - rank()) : 0.0};
    highest(first);
    if (first[0] == 0.0) {
        return;
    }
    const std::size_t culprit = count() - static_cast<std::size_t>(first[0]);
    std::array<double, 1> kind{culprit == rank() ? static_cast<double>(to_error_kind(failure))
                                                 : 0.0};
    highest(kind);
    failed_together_ = true;
    failed_elsewhere_ = culprit != rank();
    if (!failed_elsewhere_) {
        std::rethrow_exception(failure);
    }
    throw Error(static_cast<ErrorKind>(kind[0]), format("process {} failed", culprit));
}

std::unique_ptr<Processes> launched_processes() {
    const auto launched = launched_rank();
    if (!launched || launched->count == 1) {
        return std::make_unique<Processes>();
    }
    return join_mpi();
}

}  // namespace anamnesis::train
