// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>

namespace anamnesis {

/// Which of several processes this is, by the variables that mpirun (OpenMPI, MPICH) and srun set.
struct LaunchedRank {
    std::size_t rank = 0;   ///< from 0
    std::size_t count = 1;  ///< processes that were started together
    std::size_t local = 0;  ///< from 0 among those on this machine
};

/// Nothing where no launcher started this process.
std::optional<LaunchedRank> launched_rank();

}  // namespace anamnesis
