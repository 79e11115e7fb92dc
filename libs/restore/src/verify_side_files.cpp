// SPDX-License-Identifier: Apache-2.0
#include "verify_side_files.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

/// Folders of caches, version control and training, by name, wherever they lie.
bool is_of_the_workshop(const std::string& folder) {
    static const std::set<std::string> names{".git", ".cache", "__pycache__", "runs", "wandb"};
    return names.contains(folder) || folder.starts_with("checkpoint-") ||
           folder.starts_with("global_step");
}

/// Weights and states of any format, by ending.
bool holds_weights(const fs::path& path) {
    static const std::set<std::string> endings{".safetensors",
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
    return endings.contains(path.extension().string());
}

/// Files in the checkpoint's own folder that speak of these weights alone.
bool is_a_record(const std::string& name) {
    static const std::set<std::string> names{
        "anamnesis.json", "anamnesis.undo", "run.json", "metrics.jsonl", "training.json"};
    return names.contains(name) || name.starts_with("events.out.tfevents.") ||
           name.find(".partial-") != std::string::npos;
}

/// The files that a copy of `folder` must have, relative to it.
std::vector<fs::path> list_required_files(const fs::path& folder) {
    std::vector<fs::path> required;
    std::error_code error;
    const bool was_trained_here = fs::exists(folder / "run.json", error);
    fs::recursive_directory_iterator entry(folder, error);
    for (; !error && entry != fs::end(entry); entry.increment(error)) {
        std::error_code ignored;
        const std::string name = entry->path().filename().string();
        const bool is_at_top = entry.depth() == 0;
        if (entry->is_directory(ignored)) {
            const bool is_training =
                is_at_top && was_trained_here &&
                (name == "resume" || name == "initial" || name == "evaluation");
            if (is_training || is_of_the_workshop(name)) {
                entry.disable_recursion_pending();
            }
        } else if (entry->is_regular_file(ignored) && !holds_weights(entry->path()) &&
                   !(is_at_top && is_a_record(name))) {
            required.push_back(fs::relative(entry->path(), folder, ignored));
        }
    }
    if (error) {
        throw io_error(format("reading folder {}", in_quotes(folder.string(), 1000)),
                       error.value());
    }
    std::ranges::sort(required);
    return required;
}

/// How far two files agree.
struct Agreement {
    bool begins_alike = false;  ///< the first file's bytes are the beginning of the second
    bool is_longer = false;     ///< the second goes on after them
};

Agreement compare_files(const fs::path& first, const fs::path& second) {
    constexpr std::uint64_t piece = 1U << 20U;
    const io::File one = io::File::open_for_reading(first);
    const io::File other = io::File::open_for_reading(second);
    const std::uint64_t size = one.size();
    const std::uint64_t other_size = other.size();
    if (other_size < size) {
        return {};
    }
    std::vector<std::byte> left(std::min(size, piece));
    std::vector<std::byte> right(left.size());
    for (std::uint64_t done = 0; done < size;) {
        const std::uint64_t part = std::min(size - done, piece);
        one.read_at(done, std::span(left).first(part));
        other.read_at(done, std::span(right).first(part));
        if (!std::ranges::equal(std::span(left).first(part), std::span(right).first(part))) {
            return {};
        }
        done += part;
    }
    return {.begins_alike = true, .is_longer = other_size > size};
}

}  // namespace

void compare_side_files(const checkpoint::Checkpoint& post,
                        const checkpoint::Checkpoint& repaired,
                        Verification& result) {
    std::error_code ignored;
    if (post.is_single_file() || fs::equivalent(post.folder(), repaired.folder(), ignored)) {
        return;
    }
    for (const fs::path& file : list_required_files(post.folder())) {
        const fs::path other = repaired.folder() / file;
        if (!fs::is_regular_file(other, ignored)) {
            result.deviations.push_back(
                format("file {} of post is missing", in_quotes(file.string())));
            continue;
        }
        const Agreement agreement = compare_files(post.folder() / file, other);
        if (agreement.begins_alike && agreement.is_longer && file == "README.md") {
            result.notes.emplace_back("README.md has a section more than post's");
        } else if (!agreement.begins_alike || agreement.is_longer) {
            result.deviations.push_back(
                format("file {} differs from post's", in_quotes(file.string())));
        }
    }
}

}  // namespace anamnesis::restore
