// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shard.hpp"
#include "anamnesis/io/json_lines.hpp"

namespace anamnesis::eval {

/// Where a run keeps what it measured:
///
///   run.json        settings (the same for everything in the folder), checkpoints
///   results.jsonl   one line an answer
///
/// and with shards `run-1-of-4.json`, `results-1-of-4.jsonl`…
class RunFolder {
public:
    /// Errors: `mismatch` where the folder holds results of other settings, naming the first;
    ///         `usage` for the folder of a checkpoint or of a run of another kind.
    static RunFolder open(const std::filesystem::path& folder, const Json& settings, Shard shard);

    io::JsonLines& results() { return results_; }

    /// What the other parts of the run held when this one was opened: shards, also those of another
    /// number of processes, or the whole.
    const std::vector<Json>& lines_of_other_parts() const& { return other_lines_; }
    const std::vector<Json>& lines_of_other_parts() const&& = delete;

    /// Records what a checkpoint is. Errors: `mismatch` where the name stands for another one, in
    /// this part of the run or in one beside it.
    void describe(const std::string& checkpoint, const Json& what);

    /// The comparison of `describe` alone: records nothing.
    void expect_same(const std::string& checkpoint, const Json& what) const;

    /// What it recorded, or else a part beside it; null for a checkpoint that none knows.
    Json find_description(const std::string& checkpoint) const;

    /// Removes what this run wrote where it holds no answer, and the folder if nothing else is in
    /// it.
    void discard_unanswered() noexcept;

private:
    RunFolder(std::filesystem::path record_path,
              Json record,
              io::JsonLines results,
              std::vector<Json> other_lines);

    std::filesystem::path record_path_;
    Json record_;
    io::JsonLines results_;
    std::vector<Json> other_lines_;
};

/// What a folder was to ask, and of whom.
struct RunPlan {
    Json settings;
    std::vector<std::string> checkpoints{};
};

/// A finished or unfinished run, all shards together.
struct RunRecord {
    Json settings;
    Json checkpoints;              ///< an object: name to description
    std::vector<Json> results;     ///< lines
    std::vector<Json> repeats{};   ///< lines of second answers to the same questions
    std::vector<RunPlan> plans{};  ///< of each folder that it is made of
};

/// Errors: `not_found` where the folder holds no run; `mismatch` for shards of different settings,
///         a name that stands for two checkpoints or a sample that is in two of them; `malformed`,
///         naming file and line, for a score outside 0 to 1 or a checkpoint that no record has.
RunRecord read_run(const std::filesystem::path& folder);

}  // namespace anamnesis::eval
