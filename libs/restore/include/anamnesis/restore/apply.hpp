// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

inline constexpr const char* receipt_name = "anamnesis.json";
/// The version of the form of receipts (docs/formats.md), their `anamnesis_receipt`.
inline constexpr std::uint64_t receipt_version = 1;
inline constexpr const char* undo_name = "anamnesis.undo";

/// How long work runs: threads, where it reports, and who may stop it.
struct Execution {
    unsigned threads = 1;
    Watch watch{};

    /// Errors: `cancelled` where a stop was asked for.
    void check() const;
    void advance(std::uint64_t bytes) const;
};

/// What the outputs hold beside weights, and how they are made.
struct OutputOptions {
    bool links_unchanged = false;   ///< hard-link (or reflink) files that do not change
    bool has_model_card = false;    ///< append a section to README.md
    bool is_synced = true;          ///< wait for the disk before the output becomes visible
    bool has_clean_names = false;   ///< leave out of tensor names what training code put there
    bool has_stamp = false;         ///< say in the metadata of a GGUF file that it was repaired
    bool has_fixed_config = false;  ///< leave out of config.json what does not fit the weights
};

/// What was written.
struct Result {
    std::filesystem::path path;
    Json receipt;
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_linked = 0;
    std::vector<std::string> notes;
};

/// Bytes that `write_folders` would write and link for one output, and the space it needs.
struct OutputCost {
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_linked = 0;
    std::uint64_t bytes_read = 0;
    std::uint64_t peak_memory = 0;
};
OutputCost cost_of_folder(const Plan& plan, const OutputOptions& options);
OutputCost cost_of_patch(const Plan& plan);
OutputCost cost_in_place(const Plan& plan);

/// Writes one complete checkpoint folder for each lambda of the plan (one for other methods), each
/// visible only when whole.
/// Errors: `usage` where an output exists or lies in a source; `exhausted` before a byte is written
/// where the space is too small; `mismatch` where the selected rows of pre and post are the same.
/// Cost:   one pass over post's files inside the kernel; buffers of a few MB.
std::vector<Result> write_folders(const Plan& plan,
                                  const std::vector<std::filesystem::path>& targets,
                                  const OutputOptions& options,
                                  const Execution& execution);

/// Writes a single weight file, for a post that is one: `target`, and beside it the receipt as
/// `target`.anamnesis.json. Each appears whole or not at all, the weights last.
/// Errors: as `write_folders`.
Result write_single_file(const Plan& plan,
                         const std::filesystem::path& target,
                         const OutputOptions& options,
                         const Execution& execution);

/// Rewrites the changed rows of post itself. The old bytes are on disk in `anamnesis.undo` before
/// the first is overwritten; a later failure rolls back, and after a crash the next run does.
/// Errors: `usage` for files behind symbolic links or with other hard links unless allowed.
Result write_in_place(const Plan& plan, const Execution& execution);

/// Brings every byte of a checkpoint repaired in place back and removes the undo file: a folder, or
/// a file, whose undo file lies beside it unless it is the `model.safetensors` of its folder.
/// Errors: `not_found` without undo file; `mismatch` where the checkpoint was changed since.
Result undo_in_place(const std::filesystem::path& checkpoint, const Execution& execution);

/// Whether there is the undo file of a repair in place, finished or not.
bool has_undo(const std::filesystem::path& checkpoint);

/// Where the receipt of a repaired checkpoint is, if it has one: beside a file, or in the folder.
std::filesystem::path find_receipt(const checkpoint::Checkpoint& repaired);

/// Writes the new rows alone, with the map of where they belong and digests of what they replace.
std::vector<Result> write_patches(const Plan& plan,
                                  const std::vector<std::filesystem::path>& targets,
                                  const Execution& execution);

/// A patch as the source of a plan: its tensors hold the rows, packed.
struct Patch {
    RecognisedCheckpoint rows;
    Request request;
    Json description;  ///< the "anamnesis.patch" metadata
};
/// Errors: `malformed` for a file that is no patch, or one with rows that it does not describe.
Patch read_patch(const std::filesystem::path& path);

/// The plan that applies a patch to a checkpoint.
/// Errors: `mismatch` where a tensor is missing, has another dtype or shape, or another digest.
Plan plan_of_patch(const Patch& patch,
                   const RecognisedCheckpoint& target,
                   const Execution& execution);

}  // namespace anamnesis::restore
