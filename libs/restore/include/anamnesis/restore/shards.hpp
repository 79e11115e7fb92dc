// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shard.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// What one of several processes did for an output.
struct ShardResult {
    std::size_t finished = 0;         ///< shards of the output that are whole, this one too
    std::uint64_t bytes_written = 0;  ///< by this shard
    std::uint64_t bytes_linked = 0;
    std::optional<Result> whole{};  ///< the output, where this process put it together
};

/// Writes every n-th weight file of an output, for processes that share nothing but the file
/// system. The files wait in `.NAME.shards` beside the target; whichever process finishes last
/// links them into the folder, which then appears whole, with one receipt of all. A shard that was
/// killed is started again; one that is whole already is not written again.
///
/// Errors: those of `write_folders`; `usage` for a shard that another process is writing, for an
///         adapter that is merged, for several outputs, and for a post of one file; `mismatch`
///         where the shards beside the target are of another repair; `unsupported` for 8-bit floats
///         whose scales are in another file than they are.
ShardResult write_shard(const Plan& plan,
                        const std::filesystem::path& target,
                        const OutputOptions& options,
                        const Shard& shard,
                        const Execution& execution);

/// What a process tells that does not put the output together.
Json to_json(const ShardResult& result, const Shard& shard);
std::string to_text(const ShardResult& result, const Shard& shard);

}  // namespace anamnesis::restore
