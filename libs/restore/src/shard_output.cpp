// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shard.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/run_settings.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/shards.hpp"

#include "folder_files.hpp"
#include "measure.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"
#include "shard_record.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

/// Where shards wait for the others.
class ShardFolder {
public:
    explicit ShardFolder(const fs::path& target) {
        const fs::path whole = target.has_filename() ? target : target.parent_path();
        path_ = whole.parent_path() / format(".{}.shards", whole.filename().string());
        std::error_code error;
        fs::create_directories(path_, error);
        if (error) {
            throw io_error(format("making the folder {}", in_quotes(path_.string(), 1000)),
                           error.value());
        }
    }

    const fs::path& path() const noexcept { return path_; }

    bool has_record(const Shard& shard) const { return fs::exists(record_path(shard)); }

    /// Of all shards that are whole; fewer where another process has put them together and removes
    /// them meanwhile. Errors: `mismatch` for one of another repair.
    std::vector<ShardRecord> list_records(const Json& settings) const {
        std::vector<ShardRecord> records;
        std::error_code gone;
        for (fs::directory_iterator entry(path_, gone), end; !gone && entry != end;
             entry.increment(gone)) {
            if (entry->path().extension() != ".json") {
                continue;
            }
            if (auto record = find_record(entry->path())) {
                io::expect_same_run(path_, record->settings, settings);
                records.push_back(*std::move(record));
            }
        }
        return records;
    }

    void put_record(const Shard& shard, const ShardRecord& record) const {
        io::write_text_atomically(record_path(shard), to_json(record).dump(2) + "\n");
    }

    /// Held until the file is closed; absent while another process holds it, or once all is put
    /// together.
    std::optional<io::File> try_lock(const std::string& name) const {
        try {
            io::File file = open_or_create(path_ / (name + ".lock"));
            return file.try_lock() ? std::optional(std::move(file)) : std::nullopt;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::not_found) {
                return std::nullopt;
            }
            throw;
        }
    }

private:
    fs::path record_path(const Shard& shard) const {
        return path_ / format("shard-{}.json", shard.to_name());
    }

    static std::optional<ShardRecord> find_record(const fs::path& path) {
        try {
            const std::string text = io::read_text(path);
            return in_context([&] { return format("reading {}", in_quotes(path.string(), 1000)); },
                              [&] { return shard_record_from_json(Json::parse(text)); });
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::not_found) {
                return std::nullopt;
            }
            throw;
        }
    }

    static io::File open_or_create(const fs::path& path) {
        try {
            return io::File::create(path);
        } catch (const Error&) {
            return io::File::open_for_update(path);
        }
    }

    fs::path path_;
};

bool holds_any(const std::set<const checkpoint::TensorEntry*>& own, const HeadBlock& block) {
    return own.contains(block.weight.post) || (block.bias && own.contains(block.bias->post));
}

/// The plan of the rows in the files of one shard. Groups that also have rows elsewhere are
/// computed by each shard that holds some.
Plan take_share(const Plan& plan, const Shard& shard) {
    Plan share = plan;
    std::erase_if(share.changes,
                  [&](const TensorChange& change) { return !shard.takes(change.post->file); });
    std::set<const checkpoint::TensorEntry*> own;
    for (const TensorChange& change : share.changes) {
        own.insert(change.post);
    }
    for (const TensorChange& change : share.changes) {
        if (change.is_requantised() && !own.contains(change.post_scale->tensor)) {
            throw Error(ErrorKind::unsupported,
                        format("the scales of {} are in another file than its weights, and shards "
                               "divide files; repair this checkpoint with one process",
                               in_quotes(change.post->name)));
        }
    }
    std::erase_if(share.groups, [&](const RoutingGroup& group) {
        return !holds_any(own, group.key) &&
               std::ranges::none_of(group.queries,
                                    [&](const HeadBlock& one) { return holds_any(own, one); });
    });
    std::erase_if(share.fits, [&](const FitGroup& group) {
        return std::ranges::none_of(group.rows,
                                    [&](const HeadBlock& one) { return holds_any(own, one); });
    });
    return share;
}

/// Files of an earlier try, which ended before its record.
void remove_unfinished(const Plan& plan, const Shard& shard, const fs::path& folder) {
    const auto& files = plan.post->checkpoint.files();
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (shard.takes(i)) {
            std::error_code ignored;
            fs::remove(folder / files[i].name(), ignored);
        }
    }
}

ShardRecord write_weights(const Plan& plan,
                          const OutputOptions& options,
                          const Shard& shard,
                          const fs::path& folder,
                          const Execution& execution) {
    remove_unfinished(plan, shard, folder);
    const Plan share = take_share(plan, shard);
    std::uint64_t total = 0;
    std::uint64_t needed = 0;
    const auto& files = plan.post->checkpoint.files();
    const auto changed = find_changed_files(plan);
    for (std::uint32_t i = 0; i < files.size(); ++i) {
        if (shard.takes(i)) {
            total += files[i].bytes;
            needed += changed.contains(i) || !options.links_unchanged ? files[i].bytes : 0;
        }
    }
    check_space(folder / "weights", needed);
    execution.watch.progress().begin("writing", total, ProgressUnit::bytes);
    OutputWeights weights;
    Jobs jobs;
    prepare_weights(
        share,
        options,
        folder,
        [&](std::size_t file) { return shard.takes(file); },
        weights,
        execution,
        jobs);
    add_row_jobs(share, {&weights.targets, 1}, execution, jobs);
    std::vector<ChangeMeasure> measures;
    add_jobs_before(share, measures, execution, jobs);
    run(jobs, execution);
    if (weights.sync) {
        weights.sync->begin_sync();
    }
    finish_weights(share, measures, weights, execution);
    io::sync_folder(folder);
    execution.watch.progress().finish();
    ShardRecord record{.settings = describe_settings(plan, options, shard.count),
                       .files = describe_files(weights),
                       .bytes_written = weights.bytes_written,
                       .bytes_linked = weights.bytes_linked};
    for (std::size_t i = 0; i < share.changes.size(); ++i) {
        record.measures.emplace(share.changes[i].post->name, measures[i]);
    }
    return record;
}

void link_or_copy(const fs::path& source, const fs::path& target) {
    std::error_code error;
    fs::create_hard_link(source, target, error);
    if (!error) {
        return;
    }
    const io::File from = io::File::open_for_reading(source);
    io::File to = io::File::create(target);
    io::copy_range(from, 0, to, 0, from.size());
    to.sync();
    to.close();
}

/// Makes the folder of what all shards left.
Result put_together(const Plan& plan,
                    const fs::path& target,
                    const OutputOptions& options,
                    const std::vector<ShardRecord>& records,
                    const fs::path& shards) {
    io::AtomicDirectory folder(target);
    const checkpoint::SideFiles side = checkpoint::find_side_files(plan.post->checkpoint);
    Result result;
    result.path = target;
    std::vector<ChangeMeasure> measures;
    for (const TensorChange& change : plan.changes) {
        const auto holds = [&](const ShardRecord& one) {
            return one.measures.contains(change.post->name);
        };
        const auto found = std::ranges::find_if(records, holds);
        if (found == records.end()) {
            throw Error(ErrorKind::malformed,
                        format("no record in {} tells of {}; remove the folder and run all shards "
                               "again",
                               in_quotes(shards.string(), 1000),
                               in_quotes(change.post->name)));
        }
        measures.push_back(found->measures.at(change.post->name));
    }
    refuse_equal_rows(plan, measures);
    Json files = Json::array();
    for (const checkpoint::WeightFile& file : plan.post->checkpoint.files()) {
        link_or_copy(shards / file.name(), folder.path() / file.name());
        for (const ShardRecord& record : records) {
            for (const Json& one : record.files.as_array("files")) {
                if (one.at("name").as_string("name") == file.name()) {
                    files.push_back(one);
                }
            }
        }
    }
    for (const ShardRecord& record : records) {
        result.bytes_written += record.bytes_written;
        result.bytes_linked += record.bytes_linked;
    }
    result.receipt = make_folder_receipt(plan, 0, measures, std::move(files));
    result.bytes_written +=
        write_beside_weights(plan, side, options, folder.path(), result.receipt);
    result.notes = list_notes(side, result.receipt);
    folder.commit();
    std::error_code ignored;
    fs::remove_all(shards, ignored);
    return result;
}

/// An empty folder is as good as none.
bool has_files(const fs::path& target) {
    std::error_code ignored;
    return fs::exists(target, ignored) && !fs::is_empty(target, ignored);
}

void check_divisible(const Plan& plan) {
    const char* wrong = plan.merge != nullptr ? "--adapter merges with one process"
                        : count_outputs(plan.request) > 1
                            ? "several strengths need one run with shards for each"
                        : plan.post->checkpoint.is_single_file()
                            ? "post is one file, and shards divide the files of a folder"
                            : nullptr;
    if (wrong != nullptr) {
        throw Error(ErrorKind::usage, format("--shard: {}", wrong));
    }
}

void refuse_finished(const fs::path& target) {
    if (has_files(target)) {
        throw Error(ErrorKind::usage,
                    format("output {} exists: all its shards were put together, or it is another "
                           "folder; choose another name or remove it",
                           in_quotes(target.string(), 1000)));
    }
}

}  // namespace

std::optional<Shard> find_shard(std::string_view word, const Plan& plan) {
    if (word.empty()) {
        return std::nullopt;
    }
    const Shard shard = Shard::parse(word);
    check_divisible(plan);
    return shard;
}

ShardResult write_shard(const Plan& plan,
                        const fs::path& target,
                        const OutputOptions& options,
                        const Shard& shard,
                        const Execution& execution) {
    if (target.extension() == ".safetensors" || target.extension() == ".gguf") {
        throw Error(ErrorKind::usage,
                    format("--shard writes a folder: name one as --out, not {}",
                           in_quotes(target.string(), 1000)));
    }
    check_target(plan, target);
    check_divisible(plan);
    refuse_finished(target);
    const ShardFolder folder(target);
    const Json settings = describe_settings(plan, options, shard.count);
    folder.list_records(settings);
    ShardResult result;
    {
        const auto lock = folder.try_lock("shard-" + shard.to_name());
        if (!lock) {
            throw Error(ErrorKind::usage,
                        format("another process is writing shard {}/{} of {}",
                               shard.index + 1,
                               shard.count,
                               in_quotes(target.string(), 1000)));
        }
        if (!folder.has_record(shard)) {
            const ShardRecord record =
                write_weights(plan, options, shard, folder.path(), execution);
            folder.put_record(shard, record);
            result.bytes_written = record.bytes_written;
            result.bytes_linked = record.bytes_linked;
        }
    }
    const std::vector<ShardRecord> records = folder.list_records(settings);
    if (has_files(target)) {
        result.finished = shard.count;
        return result;
    }
    result.finished = records.size();
    if (records.size() < shard.count) {
        return result;
    }
    // Of two that end at once, one is enough.
    if (const auto lock = folder.try_lock("all"); lock && !has_files(target)) {
        result.whole = put_together(plan, target, options, records, folder.path());
    }
    return result;
}

Json to_json(const ShardResult& result, const Shard& shard) {
    return Json::Object{{"shard", std::uint64_t{shard.index + 1}},
                        {"shards", std::uint64_t{shard.count}},
                        {"finished", std::uint64_t{result.finished}},
                        {"bytes_written", result.bytes_written},
                        {"bytes_linked", result.bytes_linked}};
}

std::string to_text(const ShardResult& result, const Shard& shard) {
    return format(
        "shard {}/{} is whole: {} written, {} shared; {} of {} are done, and the last puts "
        "the checkpoint together\n",
        shard.index + 1,
        shard.count,
        human_bytes(result.bytes_written),
        human_bytes(result.bytes_linked),
        result.finished,
        shard.count);
}

}  // namespace anamnesis::restore
