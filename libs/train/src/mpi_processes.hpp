// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "anamnesis/train/processes.hpp"

namespace anamnesis::train {

/// All processes of MPI_COMM_WORLD. To be called once.
/// Errors: `unsupported` in a build without MPI; `internal` where MPI does not start.
std::unique_ptr<Processes> join_mpi();

}  // namespace anamnesis::train
