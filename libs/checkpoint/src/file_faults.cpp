// SPDX-License-Identifier: Apache-2.0
#include "file_faults.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/formats/foreign_file.hpp"

#include "refuse_adapters.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

/// Weights of other formats, by ending, and what to do about them.
struct OtherFormat {
    std::string_view ending;
    std::string_view advice;
};
constexpr std::string_view save_again =
    "load it with transformers and write it with save_pretrained first";
constexpr std::array<OtherFormat, 10> other_formats{{
    {".bin", save_again},
    {".pt", save_again},
    {".pth", save_again},
    {".ckpt", save_again},
    {".h5", save_again},
    {".msgpack", save_again},
    {".distcp", "merge the shards of FSDP first ('accelerate merge-weights')"},
    {".ggml", "give the checkpoint that it was made from"},
    {".onnx", "give the checkpoint that it was made from"},
    {".npz", save_again},
}};

/// State of training that is no weights, though it ends like them.
bool is_state_file(std::string_view name) {
    return name == "training_args.bin" || name == "optimizer.pt" || name == "scheduler.pt" ||
           name == "optimizer.bin" || name == "scheduler.bin" || name.starts_with("rng_state") ||
           name.starts_with("random_states");
}

bool holds_weights(const fs::path& folder) {
    std::error_code ignored;
    bool found = false;
    for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end && !found;
         entry.increment(ignored)) {
        found = entry->path().extension() == ".safetensors";
    }
    return found;
}

bool less_naturally(const std::string& left, const std::string& right) {
    // checkpoint-200 comes before checkpoint-1000.
    return left.size() != right.size() ? left.size() < right.size() : left < right;
}

/// Folders below that hold weights, nearest first: those of a trainer (checkpoint-100,
/// global_step_50/actor/huggingface) and of the hub's cache (snapshots/<commit>).
std::vector<std::string> find_folders_with_weights(const fs::path& folder) {
    constexpr int deepest = 4;
    constexpr std::size_t most_entries = 10'000;
    std::vector<std::string> found;
    std::error_code ignored;
    std::size_t entries = 0;
    fs::recursive_directory_iterator entry(folder, ignored);
    for (; !ignored && entry != fs::recursive_directory_iterator() && entries < most_entries;
         entry.increment(ignored), ++entries) {
        std::error_code unreadable;
        if (!entry->is_directory(unreadable)) {
            continue;
        }
        const std::string name = entry->path().filename().string();
        if (name == ".git" || name == "blobs" || name == "wandb" || name == "runs" ||
            entry.depth() + 1 >= deepest) {
            entry.disable_recursion_pending();
        }
        if (holds_weights(entry->path())) {
            found.push_back(entry->path().string());
        }
    }
    std::ranges::sort(found, less_naturally);
    return found;
}

bool has_hub_characters(std::string_view word) {
    return !word.empty() && word != "." && word != ".." && std::ranges::all_of(word, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    });
}

/// Files that a tokenizer, a chat template or a generation is read from.
bool is_of_tokenizer(std::string_view name) {
    constexpr std::array<std::string_view, 15> names{"generation_config.json",
                                                     "tokenizer.json",
                                                     "tokenizer.model",
                                                     "tiktoken.model",
                                                     "qwen.tiktoken",
                                                     "tekken.json",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "vocab.json",
                                                     "merges.txt",
                                                     "chat_template.jinja",
                                                     "chat_template.json",
                                                     "preprocessor_config.json",
                                                     "processor_config.json"};
    return std::ranges::find(names, name) != names.end();
}

/// What no program reads with the weights, a picture or a README, is only told.
Severity severity_of(const std::vector<std::string>& side_files) {
    return std::ranges::any_of(side_files, is_of_tokenizer) ? Severity::warning : Severity::note;
}

/// Names of the regular files beside weights and of links that lead nowhere; hidden ones are those
/// of programs that work there.
std::vector<std::string> list_side_files(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        const std::string name = entry->path().filename().string();
        const bool is_weights = name.ends_with(".safetensors") || name.ends_with(".gguf") ||
                                std::ranges::any_of(other_formats, [&](const OtherFormat& format) {
                                    return name.ends_with(format.ending);
                                });
        const bool is_file = entry->is_regular_file(ignored) || !entry->exists(ignored);
        if (is_file && !is_weights && !name.starts_with('.')) {
            names.push_back(name);
        }
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace

void refuse_folder_without_weights(const fs::path& folder, const std::vector<std::string>& names) {
    const std::string quoted = in_quotes(folder.string(), 1000);
    const auto adapter = std::ranges::find_if(names, [](const std::string& name) {
        return name.starts_with("adapter_model.") || name.starts_with("adapter_model-");
    });
    if (adapter != names.end()) {
        refuse_adapter_folder(folder, *adapter);
    }
    for (const std::string& name : names) {
        const auto* const format_of_name = std::ranges::find(
            other_formats, fs::path(name).extension().string(), &OtherFormat::ending);
        if (format_of_name != other_formats.end() && !is_state_file(name)) {
            throw Error(ErrorKind::unsupported,
                        format("folder {} has weights in another format only: {}, expected "
                               ".safetensors; {}",
                               quoted,
                               in_quotes(name),
                               format_of_name->advice));
        }
    }
    constexpr std::size_t most_named = 5;
    std::vector<std::string> below = find_folders_with_weights(folder);
    if (!below.empty()) {
        const std::size_t count = below.size();
        if (count > most_named) {
            // Of a long run the last are the ones that are asked for.
            below.erase(below.begin(), below.end() - static_cast<std::ptrdiff_t>(most_named));
        }
        throw Error(ErrorKind::not_found,
                    format("folder {} has no weights itself; {} below it: {}{}; name one of them",
                           quoted,
                           count == 1 ? "a folder with weights is" : "folders with weights are",
                           join(below, ", "),
                           count > most_named ? format(" and {} more", count - most_named)
                                              : std::string()));
    }
    const bool is_sharded_training = std::ranges::any_of(names, [](const std::string& name) {
        return name.starts_with("global_step") || name == "zero_to_fp32.py";
    });
    throw Error(ErrorKind::not_found,
                format("folder {} has no weights, expected 'model.safetensors' or "
                       "'model.safetensors.index.json'{}",
                       quoted,
                       is_sharded_training
                           ? "; it holds the shards of a DeepSpeed run: merge them first ('python "
                             "zero_to_fp32.py FOLDER OUT --safe_serialization')"
                           : ""));
}

std::string advise_on_missing_path(const fs::path& path) {
    std::string id = path.string();
    for (const std::string_view address :
         {"https://huggingface.co/", "http://huggingface.co/", "huggingface.co/", "hf://"}) {
        if (id.starts_with(address)) {
            id.erase(0, address.size());
        }
    }
    const std::vector<std::string> parts = split(id, '/');
    std::error_code ignored;
    if (parts.size() != 2 || !std::ranges::all_of(parts, has_hub_characters) ||
        fs::exists(parts.front(), ignored)) {
        return {};
    }
    return format(
        "; it reads like the id of a model on the Hugging Face hub, and nothing is "
        "fetched here: 'hf download {} --local-dir {}' fetches it, then give the folder",
        id,
        parts.back());
}

void find_empty_tensors(const Checkpoint& checkpoint, std::vector<Finding>& findings) {
    std::vector<std::string> empty;
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        if (find_element_count(tensor.shape) == 0U) {
            empty.push_back(tensor.name);
        }
    }
    if (!empty.empty()) {
        findings.push_back(
            make_finding("empty_tensors",
                         Severity::error,
                         empty,
                         format("{} tensor{} empty, such as {}: loaders refuse the checkpoint",
                                empty.size(),
                                empty.size() == 1 ? " is" : "s are",
                                list_examples(empty)),
                         "save again with the parameters gathered (DeepSpeed ZeRO-3: "
                         "stage3_gather_16bit_weights_on_model_save)"));
    }
}

void find_unfetched_side_files(const fs::path& folder, std::vector<Finding>& findings) {
    std::vector<std::string> unfetched;
    std::string what;
    std::vector<std::string> dangling;
    for (const std::string& name : list_side_files(folder)) {
        std::error_code error;
        const fs::path path = folder / name;
        if (!fs::exists(path, error)) {
            dangling.push_back(name);
        } else if (is_of_tokenizer(name) || formats::is_lfs_pointer(path)) {
            if (const auto foreign = formats::describe_foreign_file(path)) {
                unfetched.push_back(name);
                what = *foreign;
            }
        }
    }
    if (!unfetched.empty()) {
        findings.push_back(make_finding("side_files_not_fetched",
                                        severity_of(unfetched),
                                        unfetched,
                                        format("{} {} not what the name says: {}",
                                               list_examples(unfetched),
                                               unfetched.size() == 1 ? "is" : "are",
                                               what)));
    }
    if (!dangling.empty()) {
        const bool is_one = dangling.size() == 1;
        findings.push_back(make_finding(
            "dangling_links",
            severity_of(dangling),
            dangling,
            format("{} {} to {} not exist: loaders do not find {}, and a repaired copy lacks {}",
                   list_examples(dangling),
                   is_one ? "is a symbolic link" : "are symbolic links",
                   is_one ? "a file that does" : "files that do",
                   is_one ? "it" : "them",
                   is_one ? "it" : "them"),
            is_one ? "fetch the file again, or remove the link"
                   : "fetch the files again, or remove the links"));
    }
}

}  // namespace anamnesis::checkpoint
