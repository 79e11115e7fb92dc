// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <linux/fs.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/background_sync.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "measure.hpp"
#include "model_card.hpp"
#include "output_headers.hpp"
#include "output_side_files.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t copy_block = 32U << 20U;

/// One weight file of one output.
struct OutputFile {
    const checkpoint::WeightFile* source = nullptr;
    fs::path path;
    std::optional<io::File> file;  ///< absent for a linked file
    std::vector<FileRange> kept;   ///< what stays post's
    RenamedFile renamed{};

    std::uint64_t shift() const { return static_cast<std::uint64_t>(renamed.shift); }
    std::uint64_t bytes() const { return source->bytes + shift(); }
};

struct Output {
    std::unique_ptr<io::AtomicDirectory> folder;
    std::vector<OutputFile> files;
    std::unique_ptr<io::BackgroundSync> sync;  ///< absent where the disk is not waited for
    RowTargets targets;
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_linked = 0;
};

/// The output must not be, hold or lie in a source.
void check_target(const Plan& plan, const fs::path& target) {
    std::error_code ignored;
    const fs::path resolved = fs::weakly_canonical(fs::absolute(target), ignored);
    for (const RecognisedCheckpoint* source : {plan.pre, plan.post}) {
        if (source->checkpoint.is_single_file()) {
            continue;
        }
        const fs::path folder = fs::weakly_canonical(source->checkpoint.folder(), ignored);
        const auto [mismatch, end] =
            std::mismatch(folder.begin(), folder.end(), resolved.begin(), resolved.end());
        if (mismatch == folder.end()) {
            throw Error(ErrorKind::usage,
                        format("output {} is, or lies in, the source {}; name a folder elsewhere, "
                               "or repair post itself with --in-place",
                               in_quotes(target.string(), 1000),
                               in_quotes(source->checkpoint.path().string(), 1000)));
        }
    }
}

/// A hard link to the file itself, also behind the links of a hub cache; false where the file
/// system refuses.
bool try_hard_link(const fs::path& source, const fs::path& target) {
    std::error_code error;
    const fs::path real = fs::canonical(source, error);
    if (error) {
        return false;
    }
    fs::create_hard_link(real, target, error);
    if (error && (error.value() == ENOSPC || error.value() == EDQUOT || error.value() == EIO)) {
        throw io_error(format("linking {}", in_quotes(target.string(), 1000)), error.value());
    }
    return !error;
}

void copy_kept(const OutputFile& output, const Execution& execution) {
    for (const auto& [first, end] : output.kept) {
        for (std::uint64_t begin = first; begin < end;) {
            execution.check();
            const std::uint64_t part = std::min(end - begin, copy_block);
            io::copy_range(*output.source->file, begin, *output.file, begin + output.shift(), part);
            begin += part;
            execution.advance(part);
        }
    }
}

/// Shares all blocks of the source, so that only replaced rows are written.
bool try_clone(const OutputFile& output) {
    return ::ioctl(output.file->descriptor(), FICLONE, output.source->file->descriptor()) == 0;
}

void prepare_files(const Plan& plan,
                   const OutputOptions& options,
                   Output& output,
                   const Execution& execution,
                   Jobs& jobs) {
    const auto& files = plan.post->checkpoint.files();
    const std::vector<RenamedFile> renamed = make_output_headers(plan, options);
    const auto kept = find_kept_ranges(plan, renamed);
    const auto changed = find_changed_files(plan);
    output.files.resize(files.size());
    for (std::uint32_t i = 0; i < files.size(); ++i) {
        OutputFile& file = output.files[i];
        file.source = &files[i];
        file.path = output.folder->path() / files[i].name();
        file.kept = kept[i];
        file.renamed = renamed[i];
        const bool is_changed = changed.contains(i) || !file.renamed.header.empty();
        if (!is_changed && options.links_unchanged &&
            (io::try_reflink(files[i].path(), file.path) ||
             try_hard_link(files[i].path(), file.path))) {
            output.bytes_linked += files[i].bytes;
            execution.advance(files[i].bytes);
            continue;
        }
        file.file = io::File::create(file.path);
        if (file.renamed.header.empty() && try_clone(file)) {
            output.bytes_linked += files[i].bytes;
            for (const auto& [begin, end] : file.kept) {
                execution.advance(end - begin);
            }
            continue;
        }
        file.file->reserve(file.bytes());
        file.file->write_at(0, std::as_bytes(std::span(file.renamed.header)));
        output.bytes_written += file.bytes();
        jobs.emplace_back([&file, &execution] { copy_kept(file, execution); });
    }
    std::vector<const io::File*> written;
    for (const OutputFile& file : output.files) {
        written.push_back(file.file ? &*file.file : nullptr);
    }
    output.targets = targets_in_checkpoint(plan, written, renamed);
    if (options.is_synced) {
        std::erase(written, nullptr);
        output.sync = std::make_unique<io::BackgroundSync>(std::move(written));
    }
}

void write_new_file(const fs::path& path, std::string_view text, bool is_synced) {
    io::File file = io::File::create(path);
    file.write_at(0, std::as_bytes(std::span(text)));
    if (is_synced) {
        file.sync();
    }
    file.close();
}

void copy_side_files(const Plan& plan,
                     const checkpoint::SideFiles& side,
                     const OutputOptions& options,
                     Output& output) {
    const fs::path& root = plan.post->checkpoint.folder();
    std::set<fs::path> folders;
    for (const checkpoint::SideFile& file : side.files) {
        const fs::path target = output.folder->path() / file.relative;
        if (file.relative.has_parent_path()) {
            std::error_code error;
            fs::create_directories(target.parent_path(), error);
            if (error) {
                throw io_error(
                    format("creating folder {}", in_quotes(target.parent_path().string(), 1000)),
                    error.value());
            }
            folders.insert(target.parent_path());
        }
        if (const auto text = make_other_text(plan, options, file.relative)) {
            write_new_file(target, *text, options.is_synced);
            output.bytes_written += text->size();
            continue;
        }
        const io::File from = io::File::open_for_reading(root / file.relative);
        io::File to = io::File::create(target);
        struct stat status{};
        if (::fstat(from.descriptor(), &status) == 0) {
            static_cast<void>(::fchmod(to.descriptor(), (status.st_mode & 0777U) | 0200U));
        }
        io::copy_range(from, 0, to, 0, from.size());
        if (options.is_synced) {
            to.sync();
        }
        to.close();
        output.bytes_written += file.bytes;
    }
    if (options.is_synced) {
        for (const fs::path& folder : folders) {
            io::sync_folder(folder);
        }
    }
}

void close_weights(Output& output) {
    for (OutputFile& file : output.files) {
        if (file.file) {
            file.file->close();
        }
    }
}

/// The disk takes the rows while they are read back from memory.
void begin_sync(std::vector<Output>& outputs) {
    for (Output& output : outputs) {
        if (output.sync) {
            output.sync->begin_sync();
        }
    }
}

Json describe_files(const Output& output) {
    Json files = Json::array();
    for (const OutputFile& file : output.files) {
        files.push_back(Json::Object{{"name", file.path.filename().string()},
                                     {"bytes", file.bytes()},
                                     {"made", file.file ? "written" : "linked"}});
    }
    return files;
}

void write_model_card(const Output& output, const Json& receipt, bool is_synced) {
    const fs::path path = output.folder->path() / "README.md";
    std::error_code ignored;
    std::string text;
    if (fs::exists(path, ignored)) {
        text = io::read_text(path);
        fs::remove(path, ignored);
    }
    write_new_file(path, text + make_model_card_section(receipt), is_synced);
}

void check_space(const Plan& plan,
                 const std::vector<fs::path>& targets,
                 const OutputOptions& options) {
    const OutputCost cost = cost_of_folder(plan, options);
    const std::uint64_t needed = cost.bytes_written * targets.size();
    fs::path existing = fs::absolute(targets.front()).parent_path();
    std::error_code ignored;
    while (!fs::exists(existing, ignored) && existing.has_relative_path()) {
        existing = existing.parent_path();
    }
    const std::uint64_t free = io::free_bytes(existing);
    if (free < needed) {
        throw Error(ErrorKind::exhausted,
                    format("{} needs {} and {} has {} free; --link shares unchanged files, "
                           "--in-place and --patch need only the changed rows",
                           in_quotes(targets.front().string(), 1000),
                           human_bytes(needed),
                           in_quotes(existing.string(), 1000),
                           human_bytes(free)));
    }
}

/// Measures what was written, waits for the weights and gives the receipt. `index` is the output's
/// among those of the plan, one for each lambda or mu.
Json finish_output(const Plan& plan,
                   std::size_t index,
                   std::vector<ChangeMeasure> measures,
                   Output& output,
                   const Execution& execution) {
    Jobs after;
    add_jobs_after(plan, output.targets, measures, execution, after);
    run(after, execution);
    if (output.sync) {
        output.sync->finish();
    }
    close_weights(output);
    Json receipt = make_receipt(plan, measures);
    if (plan.request.selection.method == Method::pro) {
        const Lambda& lambda = plan.request.lambdas[index];
        receipt.set(lambda.is_relative ? "lambda_relative" : "lambda_absolute", lambda.value);
    }
    if (plan.request.selection.method == Method::fit || plan.merge != nullptr) {
        receipt.set("request", to_json(request_of_output(plan.request, index)));
    }
    receipt.set("files", describe_files(output));
    return receipt;
}

}  // namespace

OutputCost cost_of_folder(const Plan& plan, const OutputOptions& options) {
    OutputCost cost;
    const auto changed = find_changed_files(plan);
    const auto& files = plan.post->checkpoint.files();
    for (std::uint32_t i = 0; i < files.size(); ++i) {
        if (changed.contains(i) || !options.links_unchanged) {
            cost.bytes_written += files[i].bytes;
        } else {
            cost.bytes_linked += files[i].bytes;
        }
    }
    for (const checkpoint::SideFile& file :
         checkpoint::find_side_files(plan.post->checkpoint).files) {
        cost.bytes_written += file.bytes;
    }
    cost.bytes_read = cost.bytes_written + 2 * plan.changed_bytes();
    cost.peak_memory = cost_of_patch(plan).peak_memory;
    return cost;
}

std::vector<Result> write_folders(const Plan& plan,
                                  const std::vector<fs::path>& targets,
                                  const OutputOptions& options,
                                  const Execution& execution) {
    for (const fs::path& target : targets) {
        check_target(plan, target);
    }
    check_space(plan, targets, options);
    const checkpoint::SideFiles side = checkpoint::find_side_files(plan.post->checkpoint);
    std::vector<Output> outputs(targets.size());
    Jobs jobs;
    std::uint64_t total = 0;
    for (const auto& file : plan.post->checkpoint.files()) {
        total += file.bytes;
    }
    execution.watch.progress().begin("writing", total * targets.size(), ProgressUnit::bytes);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        outputs[i].folder = std::make_unique<io::AtomicDirectory>(targets[i]);
        prepare_files(plan, options, outputs[i], execution, jobs);
    }
    std::vector<RowTargets> row_targets;
    for (const Output& output : outputs) {
        row_targets.push_back(output.targets);
    }
    add_row_jobs(plan, row_targets, execution, jobs);
    std::vector<ChangeMeasure> before;
    add_jobs_before(plan, before, execution, jobs);
    run(jobs, execution);
    refuse_equal_rows(plan, before);
    begin_sync(outputs);

    std::vector<Result> results;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Output& output = outputs[i];
        Json receipt = finish_output(plan, i, before, output, execution);
        copy_side_files(plan, side, options, output);
        if (options.has_model_card) {
            write_model_card(output, receipt, options.is_synced);
        }
        write_new_file(
            output.folder->path() / receipt_name, receipt.dump(2) + "\n", options.is_synced);
        std::vector<std::string> notes = side.notes;
        if (auto note = describe_rounding(receipt)) {
            notes.push_back(*std::move(note));
        }
        results.push_back({.path = targets[i],
                           .receipt = std::move(receipt),
                           .bytes_written = output.bytes_written,
                           .bytes_linked = output.bytes_linked,
                           .notes = std::move(notes)});
    }
    for (Output& output : outputs) {
        execution.check();
        output.folder->commit();
    }
    execution.watch.progress().finish();
    return results;
}

}  // namespace anamnesis::restore
