// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

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

/// The shard that --shard names; none for an empty word.
/// Errors: `usage` for a word that is no i/n, an adapter that is merged, several outputs, and a
///         post of one file.
std::optional<Shard> find_shard(std::string_view word, const Plan& plan);

/// Writes every n-th weight file of an output, for processes that share nothing but the file
/// system. The files wait in `.NAME.shards` beside the target; whichever process finishes last
/// links them into the folder, which then appears whole, with one receipt of all. A shard that was
/// killed is started again; one that is whole already is not written again.
///
/// Errors: those of `write_folders` and `find_shard`; `usage` for a shard that another process is
///         writing and for a target that exists; `mismatch` where the shards beside the target are
///         of another repair; `unsupported` for 8-bit floats whose scales are in another file than
///         they are.
ShardResult write_shard(const Plan& plan,
                        const std::filesystem::path& target,
                        const OutputOptions& options,
                        const Shard& shard,
                        const Execution& execution);

/// What a process tells that does not put the output together.
Json to_json(const ShardResult& result, const Shard& shard);
std::string to_text(const ShardResult& result, const Shard& shard);

}  // namespace anamnesis::restore
