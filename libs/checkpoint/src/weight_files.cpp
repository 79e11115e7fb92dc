// SPDX-License-Identifier: Apache-2.0
#include "weight_files.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <bits/ranges_algo.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/shard_index.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view single_name = "model.safetensors";
constexpr std::string_view index_name = "model.safetensors.index.json";
constexpr std::string_view extension = ".safetensors";
constexpr std::array<std::string_view, 8> other_formats{
    ".bin", ".pt", ".pth", ".gguf", ".ckpt", ".h5", ".msgpack", ".onnx"};

std::string quoted(const fs::path& path) {
    return in_quotes(path.string());
}

/// True for an entry that is there, even where it is a link that leads nowhere: such a link is an
/// error to report, not a file to do without.
bool stands(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

void expect_reachable(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error) && stands(path)) {
        std::error_code ignored;
        throw Error(ErrorKind::not_found,
                    format("{} is a symbolic link to {}, which is not there",
                           quoted(path),
                           quoted(fs::read_symlink(path, ignored))));
    }
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        names.push_back(entry->path().filename().string());
    }
    if (error) {
        throw io_error(format("listing {}", quoted(folder)), error.value());
    }
    std::ranges::sort(names);
    return names;
}

/// "model-00002-of-00005.safetensors" gives 2 and 5.
std::optional<std::pair<std::uint32_t, std::uint32_t>> find_shard_number(std::string_view name) {
    constexpr std::string_view between = "-of-";
    if (!name.ends_with(extension)) {
        return std::nullopt;
    }
    name.remove_suffix(extension.size());
    const std::size_t at = name.rfind(between);
    const std::size_t dash = at == std::string_view::npos ? at : name.substr(0, at).rfind('-');
    if (dash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto number = [](std::string_view digits) -> std::optional<std::uint32_t> {
        std::uint32_t value = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc{} && end == digits.data() + digits.size() ? std::optional(value)
                                                                            : std::nullopt;
    };
    const auto part = number(name.substr(dash + 1, at - dash - 1));
    const auto whole = number(name.substr(at + between.size()));
    return part && whole ? std::optional(std::pair(*part, *whole)) : std::nullopt;
}

bool are_all_shards(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto number = find_shard_number(names[i]);
        if (!number || number->first != i + 1 || number->second != names.size()) {
            return false;
        }
    }
    return true;
}

[[noreturn]] void refuse_folder(const fs::path& folder, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        const std::string ending = fs::path(name).extension().string();
        if (std::ranges::find(other_formats, ending) != other_formats.end() &&
            name != "training_args.bin") {
            throw Error(ErrorKind::unsupported,
                        format("folder {} has weights in another format only: {}, expected "
                               ".safetensors",
                               quoted(folder),
                               in_quotes(name)));
        }
    }
    throw Error(ErrorKind::not_found,
                format("folder {} has no weights, expected {} or {}",
                       quoted(folder),
                       in_quotes(single_name),
                       in_quotes(index_name)));
}

formats::ShardIndex read_index(const fs::path& path) {
    return in_context([&] { return format("reading {}", quoted(path)); },
                      [&] {
                          // An index names each tensor once; the largest real one has 20 MB.
                          formats::ShardIndex index =
                              formats::parse_shard_index(io::read_text(path));
                          if (index.weight_map.empty()) {
                              throw Error(ErrorKind::malformed, "the index names no tensor");
                          }
                          return index;
                      });
}

void use_index(WeightFiles& weights, const std::vector<std::string>& candidates) {
    weights.index = read_index(weights.folder / index_name);
    weights.names = weights.index->files();
    for (const std::string& name : weights.names) {
        const fs::path path = weights.folder / name;
        expect_reachable(path);
        if (!stands(path)) {
            const auto tensors = std::ranges::count(
                weights.index->weight_map, name, &std::pair<std::string, std::string>::second);
            throw Error(ErrorKind::not_found,
                        format("shard {} is missing; the index puts {} tensors into it",
                               quoted(path),
                               tensors));
        }
    }
    for (const std::string& name : candidates) {
        if (std::ranges::find(weights.names, name) == weights.names.end()) {
            weights.warnings.push_back(
                format("{} is in the folder, but the index does not name it", in_quotes(name)));
        }
    }
}

void choose_without_index(WeightFiles& weights,
                          const std::vector<std::string>& names,
                          const std::vector<std::string>& candidates) {
    if (candidates.empty()) {
        refuse_folder(weights.folder, names);
    }
    if (candidates.size() == 1) {
        const std::string& only = candidates.front();
        if (only.starts_with("adapter_")) {
            throw Error(ErrorKind::unsupported,
                        format("folder {} holds an adapter ({}), not a checkpoint",
                               quoted(weights.folder),
                               in_quotes(only)));
        }
        if (const auto number = find_shard_number(only); number && number->second > 1) {
            throw Error(ErrorKind::not_found,
                        format("folder {} has shard {} alone and no {}",
                               quoted(weights.folder),
                               in_quotes(only),
                               in_quotes(index_name)));
        }
        weights.warnings.push_back(
            format("the weights are in {}; other tools look for {}", in_quotes(only), single_name));
        weights.names = candidates;
        return;
    }
    if (!are_all_shards(candidates)) {
        throw Error(ErrorKind::not_found,
                    format("folder {} has {} .safetensors files, such as {}, but no {}",
                           quoted(weights.folder),
                           candidates.size(),
                           in_quotes(candidates.front()),
                           in_quotes(index_name)));
    }
    weights.warnings.push_back(format(
        "the {} shards have no {}; other tools need it", candidates.size(), in_quotes(index_name)));
    weights.names = candidates;
}

WeightFiles find_in_folder(const fs::path& folder) {
    WeightFiles weights;
    weights.folder = folder;
    const std::vector<std::string> names = names_in(folder);
    std::vector<std::string> candidates;
    std::ranges::copy_if(names, std::back_inserter(candidates), [](const std::string& name) {
        return name.ends_with(extension);
    });
    for (const std::string_view name : {single_name, index_name}) {
        expect_reachable(folder / name);
    }
    const bool has_single = stands(folder / single_name);
    const bool has_index = stands(folder / index_name);
    if (has_single && has_index) {
        const std::vector<std::string> named = read_index(folder / index_name).files();
        if (std::ranges::find(named, single_name) != named.end()) {
            use_index(weights, candidates);
        } else {
            // transformers looks for the single file first, so that is what users run.
            weights.names = {std::string(single_name)};
            weights.warnings.push_back(
                format("both {} and {} are there; {} is used, as transformers does, and the index "
                       "and its shards are ignored",
                       in_quotes(single_name),
                       in_quotes(index_name),
                       in_quotes(single_name)));
        }
    } else if (has_index) {
        use_index(weights, candidates);
    } else if (has_single) {
        weights.names = {std::string(single_name)};
        for (const std::string& name : candidates) {
            if (name != single_name && !name.starts_with("adapter_")) {
                weights.warnings.push_back(
                    format("{} is beside {} and is ignored", in_quotes(name), single_name));
            }
        }
    } else {
        choose_without_index(weights, names, candidates);
    }
    if (stands(folder / "config.json")) {
        expect_reachable(folder / "config.json");
        weights.config = folder / "config.json";
    }
    return weights;
}

/// A config belongs to a single file where the file has the name that a checkpoint gives it.
bool owns_config(const fs::path& file) {
    const std::string name = file.filename().string();
    return name == single_name || find_shard_number(name).has_value();
}

WeightFiles find_single(const fs::path& path) {
    const std::string ending = path.extension().string();
    if (ending != extension) {
        throw Error(ErrorKind::unsupported,
                    format("{} is no .safetensors file and no folder", quoted(path)));
    }
    WeightFiles weights;
    weights.is_single_file = true;
    weights.folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    weights.names = {path.filename().string()};
    const fs::path config = weights.folder / "config.json";
    if (owns_config(path) && stands(config)) {
        weights.config = config;
    }
    return weights;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& path) {
    expect_reachable(path);
    if (!stands(path)) {
        throw Error(ErrorKind::not_found, format("{} is not there", quoted(path)));
    }
    std::error_code error;
    return fs::is_directory(path, error) ? find_in_folder(path) : find_single(path);
}

void check_index(const formats::ShardIndex& index,
                 const std::vector<std::string>& names,
                 const Checkpoint& checkpoint,
                 std::vector<std::string>& warnings) {
    for (const auto& [tensor, file] : index.weight_map) {
        const TensorEntry* entry = checkpoint.find(tensor);
        if (entry == nullptr || names[entry->file] != file) {
            throw Error(ErrorKind::malformed,
                        format("the index puts tensor {} into {}, {}",
                               in_quotes(tensor),
                               in_quotes(file),
                               entry == nullptr
                                   ? std::string("which does not have it")
                                   : format("but it is in {}", in_quotes(names[entry->file]))));
        }
    }
    // Every index entry is a tensor, so equal counts mean equal sets.
    if (index.weight_map.size() != checkpoint.tensors().size()) {
        std::vector<std::string> named;
        for (const auto& [tensor, file] : index.weight_map) {
            named.push_back(tensor);
        }
        std::ranges::sort(named);
        for (const TensorEntry& tensor : checkpoint.tensors()) {
            if (!std::ranges::binary_search(named, tensor.name)) {
                warnings.push_back(format("tensor {} is in {}, but the index does not name it",
                                          in_quotes(tensor.name),
                                          in_quotes(names[tensor.file])));
            }
        }
    }
    if (index.total_size && *index.total_size != checkpoint.tensor_bytes()) {
        warnings.push_back(format("the index says total_size {}, the tensors have {} bytes",
                                  *index.total_size,
                                  checkpoint.tensor_bytes()));
    }
}

}  // namespace anamnesis::checkpoint
