// SPDX-License-Identifier: Apache-2.0
#include "folder_files.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <linux/fs.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
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

void write_new_file(const fs::path& path, std::string_view text, bool is_synced) {
    io::File file = io::File::create(path);
    file.write_at(0, std::as_bytes(std::span(text)));
    if (is_synced) {
        file.sync();
    }
    file.close();
}

std::uint64_t copy_side_files(const Plan& plan,
                              const checkpoint::SideFiles& side,
                              const OutputOptions& options,
                              const fs::path& folder) {
    std::uint64_t written = 0;
    const fs::path& root = plan.post->checkpoint.folder();
    std::set<fs::path> folders;
    for (const checkpoint::SideFile& file : side.files) {
        const fs::path target = folder / file.relative;
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
            written += text->size();
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
        written += file.bytes;
    }
    if (options.is_synced) {
        for (const fs::path& one : folders) {
            io::sync_folder(one);
        }
    }
    return written;
}

void close(OutputWeights& weights) {
    for (OutputFile& file : weights.files) {
        if (file.file) {
            file.file->close();
        }
    }
}

void write_model_card(const fs::path& folder, const Json& receipt, bool is_synced) {
    const fs::path path = folder / "README.md";
    std::error_code ignored;
    std::string text;
    if (fs::exists(path, ignored)) {
        text = io::read_text(path);
        fs::remove(path, ignored);
    }
    write_new_file(path, text + make_model_card_section(receipt), is_synced);
}

}  // namespace

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

void check_space(const fs::path& target, std::uint64_t needed) {
    fs::path existing = fs::absolute(target).parent_path();
    std::error_code ignored;
    while (!fs::exists(existing, ignored) && existing.has_relative_path()) {
        existing = existing.parent_path();
    }
    const std::uint64_t free = io::free_bytes(existing);
    if (free < needed) {
        throw Error(ErrorKind::exhausted,
                    format("{} needs {} and {} has {} free; --link shares unchanged files, "
                           "--in-place and --patch need only the changed rows",
                           in_quotes(target.string(), 1000),
                           human_bytes(needed),
                           in_quotes(existing.string(), 1000),
                           human_bytes(free)));
    }
}

void prepare_weights(const Plan& plan,
                     const OutputOptions& options,
                     const fs::path& folder,
                     const std::function<bool(std::size_t file)>& takes,
                     OutputWeights& weights,
                     const Execution& execution,
                     Jobs& jobs) {
    const auto& files = plan.post->checkpoint.files();
    const std::vector<RenamedFile> renamed = make_output_headers(plan, options);
    const auto kept = find_kept_ranges(plan, renamed);
    const auto changed = find_changed_files(plan);
    weights.files.reserve(files.size());
    std::vector<const io::File*> written(files.size());
    for (std::uint32_t i = 0; i < files.size(); ++i) {
        if (!takes(i)) {
            continue;
        }
        OutputFile& file = weights.files.emplace_back();
        file.source = &files[i];
        file.path = folder / files[i].name();
        file.kept = kept[i];
        file.renamed = renamed[i];
        const bool is_changed = changed.contains(i) || !file.renamed.header.empty();
        if (!is_changed && options.links_unchanged &&
            (io::try_reflink(files[i].path(), file.path) ||
             try_hard_link(files[i].path(), file.path))) {
            weights.bytes_linked += files[i].bytes;
            execution.advance(files[i].bytes);
            continue;
        }
        file.file = io::File::create(file.path);
        written[i] = &*file.file;
        if (file.renamed.header.empty() && try_clone(file)) {
            weights.bytes_linked += files[i].bytes;
            for (const auto& [begin, end] : file.kept) {
                execution.advance(end - begin);
            }
            continue;
        }
        file.file->reserve(file.bytes());
        file.file->write_at(0, std::as_bytes(std::span(file.renamed.header)));
        weights.bytes_written += file.bytes();
        jobs.emplace_back([&file, &execution] { copy_kept(file, execution); });
    }
    weights.targets = targets_in_checkpoint(plan, written, renamed);
    if (options.is_synced) {
        std::erase(written, nullptr);
        weights.sync = std::make_unique<io::BackgroundSync>(std::move(written));
    }
}

void finish_weights(const Plan& plan,
                    std::vector<ChangeMeasure>& measures,
                    OutputWeights& weights,
                    const Execution& execution) {
    Jobs after;
    add_jobs_after(plan, weights.targets, measures, execution, after);
    run(after, execution);
    if (weights.sync) {
        weights.sync->finish();
    }
    close(weights);
}

Json describe_files(const OutputWeights& weights) {
    Json files = Json::array();
    for (const OutputFile& file : weights.files) {
        files.push_back(Json::Object{{"name", file.path.filename().string()},
                                     {"bytes", file.bytes()},
                                     {"made", file.file ? "written" : "linked"}});
    }
    return files;
}

Json make_folder_receipt(const Plan& plan,
                         std::size_t index,
                         const std::vector<ChangeMeasure>& measures,
                         Json files) {
    Json receipt = make_receipt(plan, measures);
    if (plan.request.selection.method == Method::pro) {
        const Lambda& lambda = plan.request.lambdas[index];
        receipt.set(lambda.is_relative ? "lambda_relative" : "lambda_absolute",
                    describe_strength(lambda.value));
    }
    if (plan.request.selection.method == Method::fit || plan.merge != nullptr) {
        receipt.set("request", to_json(request_of_output(plan.request, index)));
    }
    receipt.set("files", std::move(files));
    return receipt;
}

std::uint64_t write_beside_weights(const Plan& plan,
                                   const checkpoint::SideFiles& side,
                                   const OutputOptions& options,
                                   const fs::path& folder,
                                   const Json& receipt) {
    const std::uint64_t written = copy_side_files(plan, side, options, folder);
    if (options.has_model_card) {
        write_model_card(folder, receipt, options.is_synced);
    }
    write_new_file(folder / receipt_name, receipt.dump(2) + "\n", options.is_synced);
    return written;
}

std::vector<std::string> list_notes(const checkpoint::SideFiles& side, const Json& receipt) {
    std::vector<std::string> notes = side.notes;
    std::ranges::move(list_notes(receipt), std::back_inserter(notes));
    return notes;
}

}  // namespace anamnesis::restore
