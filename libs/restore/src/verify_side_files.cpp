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
#include "anamnesis/base/json.hpp"
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
    return names.contains(name) || name.ends_with(".anamnesis.json") ||
           name.ends_with(".anamnesis.undo") || name.starts_with("events.out.tfevents.") ||
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

/// An index of shards, of whatever format.
bool is_index(const fs::path& file) {
    const std::string name = file.string();
    return name.ends_with(".json") && name.find(".index.") != std::string::npos &&
           !file.has_parent_path();
}

/// Whether every file that an index names lies in `folder`.
bool names_only_files_in(const fs::path& index, const fs::path& folder) {
    const Json json = Json::parse(io::read_text(index));
    const Json* map = json.find("weight_map");
    if (map == nullptr || !map->is_object()) {
        return true;
    }
    std::set<std::string> files;
    for (const auto& [tensor, file] : map->as_object("weight_map")) {
        files.insert(file.as_string("weight_map"));
    }
    std::error_code ignored;
    return std::ranges::all_of(
        files, [&](const std::string& file) { return fs::exists(folder / file, ignored); });
}

/// An index that names files which are not in the copy must not be there. That of the copy's own
/// weights must name each tensor in its file: post's bytes where these do, else one that does.
void compare_indexes(const fs::path& file,
                     const checkpoint::Checkpoint& post,
                     const checkpoint::Checkpoint& repaired,
                     Verification& result) {
    std::error_code ignored;
    const fs::path other = repaired.folder() / file;
    const bool is_there = fs::is_regular_file(other, ignored);
    const bool is_wanted = names_only_files_in(post.folder() / file, repaired.folder());
    if (!is_there) {
        if (is_wanted) {
            result.deviations.push_back(
                format("file {} of post is missing", in_quotes(file.string())));
        } else {
            result.notes.push_back(
                format("{} of post names files that the copy does not have: it "
                       "was left out",
                       file.string()));
        }
        return;
    }
    const Agreement agreement = compare_files(post.folder() / file, other);
    if (agreement.begins_alike && !agreement.is_longer) {
        if (!is_wanted) {
            result.deviations.push_back(
                format("file {} names files that do not exist", in_quotes(file.string())));
        }
        return;
    }
    if (repaired.is_indexed() && repaired.is_index_exact()) {
        result.notes.push_back(
            format("{} was written anew: it names what is there", file.string()));
    } else {
        result.deviations.push_back(
            format("file {} differs from post's", in_quotes(file.string())));
    }
}

Json without_quantisation(Json config) {
    for (const char* key : {"quantization_config", "compression_config"}) {
        if (config.find(key) != nullptr) {
            config.set(key, Json());
        }
    }
    Json plain = Json::object();
    for (const auto& [key, value] : config.as_object("config.json")) {
        if (!value.is_null() || (key != "quantization_config" && key != "compression_config")) {
            plain.set(
                key,
                key == "text_config" && value.is_object() ? without_quantisation(value) : value);
        }
    }
    return plain;
}

/// Whether two configs are the same but for a quantization_config that the first has.
bool differs_by_quantisation(const fs::path& post, const fs::path& repaired) {
    try {
        const Json before = Json::parse_python(io::read_text(post));
        const Json after = Json::parse_python(io::read_text(repaired));
        return before.is_object() && !(before == after) && without_quantisation(before) == after;
    } catch (const Error&) {
        return false;
    }
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
        if (is_index(file)) {
            compare_indexes(file, post, repaired, result);
            continue;
        }
        if (!fs::is_regular_file(other, ignored)) {
            result.deviations.push_back(
                format("file {} of post is missing", in_quotes(file.string())));
            continue;
        }
        const Agreement agreement = compare_files(post.folder() / file, other);
        if (agreement.begins_alike && agreement.is_longer && file == "README.md") {
            result.notes.emplace_back("README.md has a section more than post's");
        } else if (file == "config.json" && differs_by_quantisation(post.folder() / file, other)) {
            result.notes.emplace_back(
                "config.json is post's without its quantization_config, which did not fit");
        } else if (!agreement.begins_alike || agreement.is_longer) {
            result.deviations.push_back(
                format("file {} differs from post's", in_quotes(file.string())));
        }
    }
}

}  // namespace anamnesis::restore
