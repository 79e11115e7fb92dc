// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shell.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf_shards.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/shard_index.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"
#include "undo_file.hpp"
#include "undo_place.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

/// Holds a folder against a second repair of the same checkpoint.
class FolderLock {
public:
    explicit FolderLock(const fs::path& folder)
        : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        if (descriptor_ < 0) {
            const int reason = errno;
            throw io_error(format("opening folder {}", in_quotes(folder.string(), 1000)), reason);
        }
        if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
            ::close(descriptor_);
            throw Error(ErrorKind::usage,
                        format("another process works on {}", in_quotes(folder.string(), 1000)));
        }
    }
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    ~FolderLock() { ::close(descriptor_); }

private:
    int descriptor_;
};

void refuse_links(const Plan& plan, const std::set<std::uint32_t>& files) {
    if (plan.request.allowed.contains(Allowance::links)) {
        return;
    }
    for (const std::uint32_t index : files) {
        const fs::path& path = plan.post->checkpoint.files()[index].path();
        struct stat status{};
        if (::lstat(path.c_str(), &status) != 0) {
            const int reason = errno;
            throw io_error(format("reading {}", in_quotes(path.string(), 1000)), reason);
        }
        if (S_ISLNK(status.st_mode)) {
            throw Error(ErrorKind::usage,
                        format("{} is a symbolic link (a hub cache?): rewriting it in place would "
                               "change the file for every user of it; --allow links does it all "
                               "the same, --out writes a copy",
                               in_quotes(path.string(), 1000)));
        }
        if (status.st_nlink > 1) {
            throw Error(ErrorKind::usage,
                        format("{} has {} hard links: rewriting it in place would change the "
                               "others too; --allow links does it all the same, --out writes a "
                               "copy",
                               in_quotes(path.string(), 1000),
                               status.st_nlink));
        }
    }
}

std::vector<UndoRange> list_undo_ranges(const Plan& plan) {
    std::vector<UndoRange> ranges;
    for (const TensorChange& change : plan.changes) {
        const std::string name = plan.post->checkpoint.files()[change.post->file].name();
        for (const RowSplice& splice : change.splices) {
            const std::uint64_t row_bytes = change.post->row_bytes();
            ranges.push_back({.file = name,
                              .offset = change.post->offset + splice.rows.begin * row_bytes,
                              .size = splice.rows.size() * row_bytes});
        }
    }
    return ranges;
}

/// What a folder with an undo file holds.
enum class RepairState : std::uint8_t {
    interrupted,  ///< no receipt of this repair: anything between post and repaired
    complete,     ///< the receipt and the bytes agree
    changed,      ///< somebody wrote to the rows since
};

RepairState read_repair_state(const UndoPlace& place,
                              const UndoFile& undo,
                              const Execution& execution) {
    std::error_code ignored;
    const fs::path& path = place.receipt;
    if (!fs::exists(path, ignored)) {
        return RepairState::interrupted;
    }
    const Json receipt = Json::parse(io::read_text(path));
    const Json* id = receipt.find("undo_id");
    if (id == nullptr || id->as_string("undo_id") != undo.id()) {
        return RepairState::interrupted;
    }
    return receipt.at("in_place_sha256").as_string("in_place_sha256") ==
                   undo.digest_of_current(execution)
               ? RepairState::complete
               : RepairState::changed;
}

UndoFile open_usable_undo(const UndoPlace& place, const Execution& execution) {
    UndoFile undo = UndoFile::open(place);
    undo.check_files();
    if (read_repair_state(place, undo, execution) == RepairState::changed) {
        throw Error(ErrorKind::mismatch,
                    format("{} was repaired in place and its rows were changed since: the old "
                           "bytes in {} no longer fit; remove that file to go on with the "
                           "checkpoint as it is",
                           in_quotes(place.folder.string(), 1000),
                           in_quotes(place.undo.filename().string())));
    }
    return undo;
}

/// Brings the old bytes back, as a phase of its own.
std::uint64_t roll_back(const UndoFile& undo, const Execution& execution) {
    std::uint64_t total = 0;
    for (const UndoRange& range : undo.ranges()) {
        total += range.size;
    }
    execution.watch.progress().begin("undoing", total, ProgressUnit::bytes);
    const std::uint64_t bytes = undo.roll_back(execution);
    execution.watch.progress().finish();
    return bytes;
}

void write_rows(const Plan& plan,
                const RowTargets& targets,
                const std::vector<const io::File*>& files,
                const Execution& execution) {
    Jobs jobs;
    add_row_jobs(plan, std::span(&targets, 1), execution, jobs);
    run(jobs, execution);
    for (const io::File* file : files) {
        if (file != nullptr) {
            file->sync();
        }
    }
}

/// The files of post that a repair in place rewrites, open for it.
class OpenFiles {
public:
    explicit OpenFiles(const Plan& plan) : open_(plan.post->checkpoint.files().size()) {
        files_.resize(open_.size(), nullptr);
        for (const std::uint32_t index : find_changed_files(plan)) {
            const checkpoint::WeightFile& file = plan.post->checkpoint.files()[index];
            open_[index] = io::File::open_for_update(file.path());
            files_[index] = &*open_[index];
            by_name_.emplace(file.name(), &file);
        }
    }
    OpenFiles(const OpenFiles&) = delete;
    OpenFiles& operator=(const OpenFiles&) = delete;

    /// One for each file of post; null where nothing changes.
    const std::vector<const io::File*>& files() const& { return files_; }
    const std::map<std::string, const checkpoint::WeightFile*>& by_name() const& {
        return by_name_;
    }

private:
    std::vector<std::optional<io::File>> open_;
    std::vector<const io::File*> files_;
    std::map<std::string, const checkpoint::WeightFile*> by_name_;
};

void check_space_for_undo(const Plan& plan, const fs::path& folder) {
    const std::uint64_t free = io::free_bytes(folder);
    if (free < plan.changed_bytes()) {
        throw Error(ErrorKind::exhausted,
                    format("the undo file needs {} and {} has {} free",
                           human_bytes(plan.changed_bytes()),
                           in_quotes(folder.string(), 1000),
                           human_bytes(free)));
    }
}

/// The files of an index; none of one that cannot be read.
std::vector<std::string> list_named_files(const fs::path& index) {
    try {
        return formats::parse_shard_index(io::read_text(index)).files();
    } catch (const Error&) {
        return {};
    }
}

/// Whether an undo file is of the file, index or shard that a user names, or of another one of its
/// set.
bool is_of_file(const UndoFile& undo, const fs::path& file) {
    constexpr std::string_view index_ending = ".index.json";
    const std::string name = file.filename().string();
    if (name.ends_with(index_ending)) {
        // Beside a stale index the single file is what was repaired; one that is broken by now says
        // nothing.
        const std::string stem = name.substr(0, name.size() - index_ending.size());
        return stem == "model.safetensors" || undo.holds_rows_of(stem) ||
               std::ranges::any_of(list_named_files(file),
                                   [&](const auto& one) { return undo.holds_rows_of(one); });
    }
    return undo.holds_rows_of(name) ||
           std::ranges::any_of(undo.ranges(), [&](const UndoRange& range) {
               return checkpoint::are_of_one_set(range.file, name);
           });
}

/// Checkpoints may share a folder, whose one undo file is then of another one: of no file of this.
/// A file of this one may have been repaired by its own name.
void refuse_undo_of_others(const UndoPlace& place, const checkpoint::Checkpoint& post) {
    std::error_code ignored;
    for (const checkpoint::WeightFile& file : post.files()) {
        const fs::path beside = find_undo_place_beside(file.path()).undo;
        // By name: both are in one folder, which may be written in two ways.
        if (beside.filename() != place.undo.filename() && fs::exists(beside, ignored)) {
            throw Error(ErrorKind::usage,
                        format("{} was repaired in place by itself: undo that first, 'anamnesis "
                               "undo' with its name, before {} is repaired in place",
                               in_quotes(file.path().string(), 1000),
                               in_quotes(post.path().string(), 1000)));
        }
    }
    if (!fs::exists(place.undo, ignored)) {
        return;
    }
    const UndoFile undo = UndoFile::open(place);
    const bool is_of_post = std::ranges::any_of(
        post.files(), [&](const auto& file) { return undo.holds_rows_of(file.name()); });
    if (!is_of_post) {
        throw Error(ErrorKind::usage,
                    format("{} is the undo file of another checkpoint in this folder, {}: undo "
                           "that repair, or take the undo file away, before {} is repaired in "
                           "place",
                           in_quotes(place.undo.string(), 1000),
                           in_quotes(undo.ranges().empty() ? "" : undo.ranges().front().file),
                           in_quotes(post.path().string(), 1000)));
    }
}

/// The receipt of an earlier repair, as the folder has it.
std::optional<std::string> read_receipt(const UndoPlace& place) {
    std::error_code ignored;
    if (!fs::exists(place.receipt, ignored)) {
        return std::nullopt;
    }
    return io::read_text(place.receipt);
}

Json write_rows_and_receipt(const Plan& plan,
                            const UndoPlace& place,
                            const std::vector<const io::File*>& files,
                            std::vector<ChangeMeasure>& measures,
                            const Execution& execution) {
    const RowTargets targets = targets_in_checkpoint(plan, files);
    write_rows(plan, targets, files, execution);
    Jobs after;
    add_jobs_after(plan, targets, measures, execution, after);
    run(after, execution);
    Json receipt = make_receipt(plan, measures);
    const UndoFile undo = UndoFile::open(place);
    receipt.set("undo_id", undo.id());
    receipt.set("in_place_sha256", undo.digest_of_current(execution));
    io::write_text_atomically(place.receipt, receipt.dump(2) + "\n");
    return receipt;
}

}  // namespace

OutputCost cost_in_place(const Plan& plan) {
    OutputCost cost = cost_of_patch(plan);
    cost.bytes_written = 2 * plan.changed_bytes();
    cost.bytes_read = 4 * plan.changed_bytes();
    return cost;
}

bool has_undo(const fs::path& checkpoint) {
    std::error_code ignored;
    const UndoPlace place = find_undo_place(checkpoint);
    if (!fs::exists(place.undo, ignored)) {
        return false;
    }
    // Files and sets of shards share a folder, and its one undo file is of what was repaired.
    return fs::is_directory(checkpoint, ignored) || checkpoint::is_whole_gguf(checkpoint) ||
           is_of_file(UndoFile::open(place), checkpoint);
}

Result write_in_place(const Plan& plan, const Execution& execution) {
    const UndoPlace place = find_undo_place(plan.post->checkpoint.path());
    const fs::path& folder = place.folder;
    refuse_links(plan, find_changed_files(plan));
    const FolderLock lock(folder);
    refuse_undo_of_others(place, plan.post->checkpoint);
    Result result;
    result.path = plan.post->checkpoint.path();
    // A repair starts from post as it was: what an earlier one, whole or broken off, has written
    // goes back first.
    if (has_undo(plan.post->checkpoint.path())) {
        roll_back(open_usable_undo(place, execution), execution);
        result.notes.emplace_back("an earlier repair in place was undone first");
    }
    check_space_for_undo(plan, folder);
    const OpenFiles open(plan);
    execution.watch.progress().begin(
        "repairing in place", 2 * plan.changed_bytes(), ProgressUnit::bytes);
    std::vector<ChangeMeasure> measures;
    Jobs before;
    add_jobs_before(plan, measures, execution, before);
    run(before, execution);
    refuse_equal_rows(plan, measures);
    UndoFile::write(place, open.by_name(), list_undo_ranges(plan), read_receipt(place), execution);
    try {
        result.receipt = write_rows_and_receipt(plan, place, open.files(), measures, execution);
    } catch (...) {
        // Once the receipt is written the repair is whole; before that post must be what it was.
        // Where rolling back fails too, the undo file stays for the next run.
        UndoFile::open(place).roll_back({});
        throw;
    }
    execution.watch.progress().finish();
    result.bytes_written = plan.changed_bytes();
    std::ranges::move(list_notes(result.receipt), std::back_inserter(result.notes));
    result.notes.push_back(format("{} holds the old bytes; bring them back with: anamnesis undo {}",
                                  place.undo.filename().string(),
                                  quote_for_shell(plan.post->checkpoint.path().string())));
    return result;
}

Result undo_in_place(const fs::path& checkpoint, const Execution& execution) {
    const UndoPlace place = find_undo_place(checkpoint);
    if (!has_undo(checkpoint)) {
        throw Error(ErrorKind::not_found,
                    format("{} holds no {}: it was not repaired in place, or undone already",
                           in_quotes(checkpoint.string(), 1000),
                           in_quotes(place.undo.filename().string())));
    }
    const FolderLock lock(place.folder);
    Result result;
    result.path = checkpoint;
    result.bytes_written = roll_back(open_usable_undo(place, execution), execution);
    return result;
}

}  // namespace anamnesis::restore
