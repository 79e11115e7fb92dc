// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/io/background_sync.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "clean_names.hpp"
#include "measure.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {

/// One weight file of one output.
struct OutputFile {
    const checkpoint::WeightFile* source = nullptr;
    std::filesystem::path path{};
    std::optional<io::File> file{};  ///< absent for a linked file
    std::vector<FileRange> kept{};   ///< what stays post's
    RenamedFile renamed{};

    std::uint64_t shift() const { return static_cast<std::uint64_t>(renamed.shift); }
    std::uint64_t bytes() const { return source->bytes + shift(); }
};

/// The weight files that one process writes of one output.
struct OutputWeights {
    std::vector<OutputFile> files{};
    std::unique_ptr<io::BackgroundSync> sync{};  ///< absent where the disk is not waited for
    RowTargets targets{};                        ///< for each change of the plan
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_linked = 0;
};

/// Errors: `usage` for an output that is, holds or lies in a source.
void check_target(const Plan& plan, const std::filesystem::path& target);

/// Errors: `exhausted` where `needed` bytes do not fit beside `target`.
void check_space(const std::filesystem::path& target, std::uint64_t needed);

/// Makes the files of post that `takes` says (by their index) in `folder`: links those that do not
/// change where that is wanted, and adds the jobs that copy what stays post's of the others. All
/// changes of the plan are in files that are taken. The weights must outlive the jobs.
void prepare_weights(const Plan& plan,
                     const OutputOptions& options,
                     const std::filesystem::path& folder,
                     const std::function<bool(std::size_t file)>& takes,
                     OutputWeights& weights,
                     const Execution& execution,
                     Jobs& jobs);

/// Measures what was written, waits for the disk and closes the files.
void finish_weights(const Plan& plan,
                    std::vector<ChangeMeasure>& measures,
                    OutputWeights& weights,
                    const Execution& execution);

/// What a receipt says of the files.
Json describe_files(const OutputWeights& weights);

/// The receipt of an output. `index` is the output's among those of the plan, one for each lambda
/// or mu.
Json make_folder_receipt(const Plan& plan,
                         std::size_t index,
                         const std::vector<ChangeMeasure>& measures,
                         Json files);

/// Writes what lies beside the weights, the receipt last. The bytes of it.
std::uint64_t write_beside_weights(const Plan& plan,
                                   const checkpoint::SideFiles& side,
                                   const OutputOptions& options,
                                   const std::filesystem::path& folder,
                                   const Json& receipt);

/// What a user is told of an output.
std::vector<std::string> list_notes(const checkpoint::SideFiles& side, const Json& receipt);

}  // namespace anamnesis::restore
