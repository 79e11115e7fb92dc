// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/json_lines.hpp"
#include "anamnesis/train/adamw.hpp"

namespace anamnesis::train {

/// The folder of a run: `metrics.jsonl`, a line a step; `resume/step-N.safetensors`, everything
/// that a run needs to go on after N steps; at the end the checkpoint, and `training.json`, which
/// says that it is whole. Only one process at a time writes to it.
class TrainingFolder {
public:
    /// Makes the folder, or goes on in one that the same run left. `settings` says what the run
    /// is: the folder of another run that has begun is refused.
    /// Errors: `mismatch` for a folder of another run; `usage` for one that is not a run's and not
    /// empty, or one that another process writes to.
    TrainingFolder(const std::filesystem::path& folder, Json settings);

    /// The same folder for a process that only reads in it, while another one writes.
    static TrainingFolder of_another(const std::filesystem::path& folder);

    const std::filesystem::path& path() const& noexcept { return folder_; }

    /// training.json of a finished run.
    const std::optional<Json>& receipt() const& noexcept { return receipt_; }

    /// The newest whole state; files that are broken are passed over.
    struct Saved {
        std::uint64_t steps_done = 0;
        NamedTensors state{};
    };
    std::optional<Saved> newest_state() const;

    /// Appends to metrics.jsonl from step `next_step` on; lines of later steps are cut off. The
    /// last line that is left.
    std::optional<Json> begin_metrics(std::uint64_t next_step);
    void append_metrics(const Json& line);

    /// Written atomically; the two newest are kept.
    void save_state(std::uint64_t steps_done, const NamedTensors& state);

    /// Marks the run as finished and removes its states.
    void finish(Json receipt);

    /// Removes what a run wrote that failed before its first step, and the folder if nothing else
    /// is in it. `start`: the checkpoint that it made to start from, if it did.
    void discard_unbegun(const std::filesystem::path& start) noexcept;

private:
    explicit TrainingFolder(const std::filesystem::path& folder) : folder_(folder) {}
    void check_settings() const;
    void remove_states() const noexcept;

    std::filesystem::path folder_;
    Json settings_;
    std::optional<io::File> lock_;
    std::optional<Json> receipt_;
    std::optional<io::JsonLines> metrics_;
};

}  // namespace anamnesis::train
