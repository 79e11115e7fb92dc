// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/launcher.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

namespace anamnesis {
namespace {

std::optional<std::size_t> variable(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read before any thread runs.
    const char* stated = std::getenv(name);
    if (stated == nullptr) {
        return std::nullopt;
    }
    const std::string_view text(stated);
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(number)
                                                                    : std::nullopt;
}

}  // namespace

std::optional<LaunchedRank> launched_rank() {
    struct Launcher {
        const char* rank;
        const char* count;
        const char* local;
    };
    // SLURM_NTASKS is the job's, and a batch script has it too, with SLURM_PROCID 0: srun alone
    // sets that of its step.
    constexpr std::array<Launcher, 3> launchers{
        {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
         {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
         {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}}};
    for (const Launcher& launcher : launchers) {
        const auto index = variable(launcher.rank);
        const auto count = variable(launcher.count);
        if (index && count && *index < *count) {
            return LaunchedRank{
                .rank = *index, .count = *count, .local = variable(launcher.local).value_or(0)};
        }
    }
    return std::nullopt;
}

}  // namespace anamnesis
