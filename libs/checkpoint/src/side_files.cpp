// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/side_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/shard_index.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 12> weight_suffixes{".safetensors",
                                                           ".bin",
                                                           ".pt",
                                                           ".pth",
                                                           ".ckpt",
                                                           ".gguf",
                                                           ".ggml",
                                                           ".onnx",
                                                           ".h5",
                                                           ".msgpack",
                                                           ".npz",
                                                           ".tflite"};

/// What repairs and training runs leave beside weights; all of it speaks of those weights alone.
constexpr std::array<std::string_view, 5> own_files{
    "anamnesis.json", "anamnesis.undo", "run.json", "metrics.jsonl", "training.json"};

bool is_weight_file(std::string_view name) {
    return std::ranges::any_of(weight_suffixes,
                               [&](std::string_view suffix) { return name.ends_with(suffix); });
}

bool is_own_file(std::string_view name) {
    return std::ranges::find(own_files, name) != own_files.end() ||
           name.ends_with(".anamnesis.json") || name.ends_with(".anamnesis.undo") ||
           name.find(".partial-") != std::string_view::npos ||
           name.starts_with("events.out.tfevents.");
}

/// Collects the side files of one checkpoint folder.
class Collector {
public:
    Collector(fs::path root, std::set<std::string> weights)
        : root_(std::move(root)), weights_(std::move(weights)) {
        std::error_code ignored;
        is_training_run_ = fs::exists(root_ / "run.json", ignored);
    }

    SideFiles collect() && {
        collect_folder({});
        std::ranges::sort(result_.files, {}, &SideFile::relative);
        std::ranges::sort(result_.notes);
        return std::move(result_);
    }

private:
    bool is_skipped_folder(std::string_view name, bool is_at_top) const {
        const bool is_of_training = is_at_top && is_training_run_ &&
                                    (name == "resume" || name == "initial" || name == "evaluation");
        return is_of_training || name == ".git" || name == ".cache" || name == "__pycache__" ||
               name.starts_with("checkpoint-") || name.starts_with("global_step") ||
               name == "runs" || name == "wandb";
    }

    void collect_folder(const fs::path& relative) {
        std::error_code error;
        const fs::directory_iterator entries(root_ / relative, error);
        if (error) {
            throw io_error(
                format("reading folder {}", in_quotes((root_ / relative).string(), 1000)),
                error.value());
        }
        for (const auto& entry : entries) {
            add(entry, relative);
        }
    }

    void add(const fs::directory_entry& entry, const fs::path& relative) {
        const std::string name = entry.path().filename().string();
        const fs::path path = relative / name;
        const bool is_at_top = relative.empty();
        std::error_code ignored;
        const auto status = fs::status(entry.path(), ignored);
        if (fs::is_directory(status)) {
            if (is_skipped_folder(name, is_at_top) || entry.is_symlink(ignored)) {
                result_.notes.push_back(format("folder {} was left out", in_quotes(path.string())));
            } else {
                collect_folder(path);
            }
        } else if (!fs::is_regular_file(status)) {
            leave_out(path, "is no regular file and was left out");
        } else if (is_at_top && (weights_.contains(name) || is_own_file(name))) {
            return;
        } else if (is_weight_file(name)) {
            leave_out(path,
                      "holds other weights or state, which were not repaired, and was left out");
        } else if (is_index_of_others(entry.path(), name, is_at_top)) {
            leave_out(path, "names weight files that are not copied, and was left out");
        } else {
            result_.files.push_back({path, fs::file_size(entry.path(), ignored)});
        }
    }

    /// An index of shards that stay where they are would send loaders to files that do not exist.
    bool is_index_of_others(const fs::path& path, std::string_view name, bool is_at_top) const {
        if (!is_at_top || !name.ends_with(".json") ||
            name.find(".index.") == std::string_view::npos) {
            return false;
        }
        try {
            const auto named = formats::parse_shard_index(io::read_text(path)).files();
            return std::ranges::any_of(
                named, [&](const std::string& file) { return !weights_.contains(file); });
        } catch (const Error&) {
            // One that cannot be read is worth no copy where no shards are.
            return name == "model.safetensors.index.json";
        }
    }

    void leave_out(const fs::path& path, std::string_view why) {
        result_.notes.push_back(format("{} {}", in_quotes(path.string()), why));
    }

    fs::path root_;
    std::set<std::string> weights_;
    bool is_training_run_ = false;
    SideFiles result_;
};

}  // namespace

SideFiles find_side_files(const Checkpoint& checkpoint) {
    std::error_code unreadable;
    if (checkpoint.gguf() && !fs::is_directory(checkpoint.path(), unreadable)) {
        return {};  // a file or a set of shards that was named says all itself
    }
    if (!checkpoint.is_single_file()) {
        std::set<std::string> weights;
        for (const WeightFile& file : checkpoint.files()) {
            weights.insert(file.name());
        }
        return find_side_files(checkpoint.folder(), std::move(weights));
    }
    SideFiles result;
    std::error_code ignored;
    const fs::path config = checkpoint.folder() / "config.json";
    if (fs::is_regular_file(config, ignored)) {
        result.files.push_back({"config.json", fs::file_size(config, ignored)});
    }
    return result;
}

SideFiles find_side_files(const fs::path& folder, std::set<std::string> weights) {
    return Collector(folder, std::move(weights)).collect();
}

}  // namespace anamnesis::checkpoint
